"""Current SQL is in files; the check finds each kind of error in them and names the file."""

import os
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from ops.provision.stores import PostgresServer
from tests.architecture.sources import REPO
from tools.check.schema import cluster
from tools.check.schema.catalog import functions_of, tried
from tools.check.schema.cluster import throw_away
from tools.check.schema.compare import (
    Function,
    FunctionFile,
    first_difference,
    function_findings,
    schema_finding,
)
from tools.check.schema.dump import readable

only_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root starts PostgreSQL as another user"
)
FOLDER = "services/toys/sql/functions"
SCHEMA = "services/toys/sql/schema.sql"
PRICE = Function("price", "toys.price(uuid)", "CREATE price\n  SELECT 1", "owner", ("bp_toys",))
PRICE_IN = replace(PRICE, signature="toys.price(uuid, text)", definition="CREATE price in")
BUY = Function("buy", "toys.buy(uuid)", "CREATE buy", "owner", ())
MADE = {function.signature: function for function in (PRICE, PRICE_IN, BUY)}
FILES = {
    "price": FunctionFile("-- Says a price.\n", (PRICE, PRICE_IN)),
    "buy": FunctionFile("-- Buys a toy.\n", (BUY,)),
}
SELL = Function("sell", "toys.sell()", "CREATE sell", "owner", ())


def _with(name: str, *written: Function, text: str = "-- Why.\n", error: str = ""):
    return {**FILES, name: FunctionFile(text, written, error)}


DIFFERENT: dict[str, tuple[Mapping[str, FunctionFile], str]] = {
    "a function that changed": (
        _with("buy", replace(BUY, definition="CREATE buy two")),
        f"{FOLDER}/buy.sql: toys.buy(uuid) differs: the migrations have 'CREATE buy', the file has "
        "'CREATE buy two'. Write a new migration",
    ),
    "a grant in a function file": (
        _with("buy", replace(BUY, executors=("PUBLIC",))),
        f"{FOLDER}/buy.sql: toys.buy(uuid) differs: the owner or the grants",
    ),
    "a function without a file": (
        {"price": FILES["price"]},
        f"{FOLDER}/buy.sql: missing; toys.buy(uuid) has no file. Run `make gen`",
    ),
    "an overload that its file lacks": (
        _with("price", PRICE),
        f"{FOLDER}/price.sql: does not define toys.price(uuid, text). Write a new migration",
    ),
    "a file of a function that no migration makes": (
        _with("sell", SELL),
        f"{FOLDER}/sell.sql: no migration creates toys.sell(). Write a new migration",
    ),
    "a file with a function of another name": (
        _with("price", PRICE, PRICE_IN, BUY),
        f"{FOLDER}/price.sql: defines toys.buy(uuid). Move it to buy.sql.",
    ),
    "a file that defines nothing": (
        _with("notes"),
        f"{FOLDER}/notes.sql: defines no function. Remove the file.",
    ),
    "a file that PostgreSQL refuses": (
        _with("buy", error="syntax error"),
        f"{FOLDER}/buy.sql: PostgreSQL refuses the file: syntax error. Write a new migration",
    ),
    "a file that does not say what its function does": (
        _with("buy", BUY, text="CREATE OR REPLACE FUNCTION"),
        f"{FOLDER}/buy.sql: the first line is not a comment. Write there what the function does.",
    ),
}


def test_function_files_that_say_what_the_migrations_make_are_accepted() -> None:
    assert list(function_findings(FOLDER, MADE, FILES)) == []


@pytest.mark.parametrize(("files", "finding"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_function_file_that_is_wrong_is_named_once_with_its_remedy(
    files: Mapping[str, FunctionFile], finding: str
) -> None:
    (found,) = function_findings(FOLDER, MADE, files)
    assert found.startswith(finding)


def test_a_changed_table_is_found_by_the_schema_file() -> None:
    table = "CREATE TABLE toys.toy (\n    id uuid{}\n);\n"
    (found,) = schema_finding(SCHEMA, table.format(""), table.format(" NOT NULL"))
    assert found == (
        f"{SCHEMA}: differs; it has 'id uuid', the migrations have 'id uuid NOT NULL'. "
        "Run `make gen` and commit what it changes."
    )
    assert list(schema_finding(SCHEMA, table, table)) == []


def test_a_missing_schema_file_is_found_with_its_remedy() -> None:
    assert list(schema_finding(SCHEMA, None, "CREATE SCHEMA toys;\n")) == [
        f"{SCHEMA}: missing. Run `make gen` and commit what it changes."
    ]


def test_the_first_difference_may_be_a_line_that_only_one_text_has() -> None:
    assert first_difference("a\nb\n", "a\nx\nb\n") == ("", "x")
    assert first_difference("a\nx\nb\n", "a\nb\n") == ("x", "")


DUMP = """\
--
-- PostgreSQL database dump
--

\\restrict {token}

-- Dumped from database version {version}

SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: toys; Type: SCHEMA; Schema: -; Owner: owner
--

CREATE SCHEMA toys;


--
-- Name: price(uuid); Type: FUNCTION; Schema: toys; Owner: owner
--

CREATE FUNCTION toys.price(id uuid) RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$;


SET default_tablespace = '';

--
-- Name: box; Type: TABLE; Schema: toys; Owner: owner
--

CREATE TABLE toys.box (
    label text CONSTRAINT box_label CHECK ((label = ANY (ARRAY[{words}])))
);


--
-- Name: toy; Type: TABLE; Schema: toys; Owner: owner
--

CREATE TABLE toys.toy (
    id uuid
);


--
-- Name: TABLE toy; Type: COMMENT; Schema: toys; Owner: owner
--

COMMENT ON TABLE toys.toy IS 'What children want. It''s never enough.';


--
-- Name: box_by_label; Type: INDEX; Schema: toys; Owner: owner
--

CREATE INDEX box_by_label ON toys.box USING btree (label);


--
-- Name: FUNCTION price(id uuid); Type: ACL; Schema: toys; Owner: owner
--

GRANT ALL ON FUNCTION toys.price(id uuid) TO bp_toys;


--
-- PostgreSQL database dump complete
--

\\unrestrict {token}

"""
READABLE = """\
CREATE SCHEMA toys;

CREATE TABLE toys.box (
    label text CONSTRAINT box_label CHECK ((label = ANY (ARRAY['a long  word'::text,
        'an ''other'::text])))
);

CREATE INDEX box_by_label ON toys.box USING btree (label);

-- What children want. It's never enough.
CREATE TABLE toys.toy (
    id uuid
);

-- functions/price.sql, owned by owner
GRANT EXECUTE ON FUNCTION toys.price(uuid) TO bp_toys;

-- functions/buy.sql, owned by owner
-- Only its owner may execute toys.buy(uuid).
"""


def test_a_dump_becomes_readable_and_the_same_whatever_version_and_day_made_it() -> None:
    words = "'a long  word'::text, 'an ''other'::text"
    first = DUMP.format(words=words, token="Kh4n", version="18.6")
    second = DUMP.format(words=words, token="9zzT", version="18.7")
    text = readable("bp_toys", "toys", "toys", first, [PRICE, BUY])
    assert text.endswith(f"\n\n{READABLE}")
    assert text == readable("bp_toys", "toys", "toys", second, [PRICE, BUY])


def test_every_service_with_migrations_has_its_schema_file() -> None:
    with_migrations = {folder.parent for folder in REPO.glob("services/*/sql/migrations")}
    assert {file.parent for file in REPO.glob("services/*/sql/schema.sql")} == with_migrations


MIGRATED = """
CREATE ROLE bp_toys;
CREATE SCHEMA toys;
CREATE FUNCTION toys.price(id uuid) RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION toys.price(id uuid, place text) RETURNS integer LANGUAGE sql AS $$ SELECT 2 $$;
CREATE AGGREGATE toys.total(integer) (SFUNC = int4pl, STYPE = integer);
"""
SAME = """-- Says a price.
create or replace function toys.price(id uuid)
    returns integer as $$ SELECT 1 $$ language sql;
CREATE OR REPLACE FUNCTION toys.price(id uuid, place text) RETURNS integer
LANGUAGE sql AS $$ SELECT 2 $$;
"""


@pytest.fixture
async def toys() -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database whose migrations made a few functions of schema `toys`."""
    with throw_away() as server:
        connection = await _migrated(server)
        yield connection
        await connection.close()


async def _migrated(server: PostgresServer) -> asyncpg.Connection:
    connection = await server.connect("postgres")
    await connection.execute(MIGRATED)
    return connection


async def test_a_function_file_is_compared_by_what_it_does_and_leaves_nothing_behind(
    toys: asyncpg.Connection,
) -> None:
    made = {f.signature: f for f, _ in await functions_of(toys, "toys")}
    price, price_in, _ = sorted(made)
    texts = {
        SAME: {price: True, price_in: True},
        SAME.replace("SELECT 1", "SELECT 3"): {price: False, price_in: True},
        SAME + "GRANT EXECUTE ON FUNCTION toys.price(uuid) TO bp_toys;": {
            price: False,
            price_in: True,
        },
        "SELECT 1": {},
    }
    for text, same in texts.items():
        file = await tried(toys, "toys", text)
        assert {f.signature: made[f.signature] == f for f in file.written} == same
    refused = await tried(toys, "toys", SAME.replace("integer", "text"))
    assert "cannot change return type" in refused.error
    elsewhere = await tried(toys, "shops", SAME)
    assert {f.signature for f in elsewhere.written} == {price, price_in}
    assert {f.signature: f for f, _ in await functions_of(toys, "toys")} == made


@pytest.fixture(scope="module")
def below_closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start the server of a repository that other users cannot reach; return its folder."""
    closed = tmp_path_factory.mktemp("closed")
    closed.chmod(0o700)
    (closed / "packages").symlink_to(cluster.program("postgres").parents[3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "program", lambda name: closed / "packages" / cluster.BIN / name)
        patch.setattr(tempfile, "tempdir", str(closed))
        with throw_away() as server:
            yield Path(server.data_location)


@only_root
def test_root_keeps_what_it_uses_of_the_throw_away_server(below_closed: Path) -> None:
    """Regression: the folder of the log and of the programs belonged to PostgreSQL's user, who
    could place links there that root follows."""
    assert stat.S_IMODE(below_closed.stat().st_mode) == 0o711
    given = {path.name for path in below_closed.iterdir() if path.stat().st_uid != 0}
    assert given == {"data", "sockets"}
    kept = [below_closed, *below_closed.glob("log"), *below_closed.glob("programs/**/*")]
    assert {path.stat().st_uid for path in kept} == {0}
    assert not [path for path in kept if path.is_symlink() or path.stat().st_mode & 0o022]


@only_root
def test_the_throw_away_server_has_no_capability_below_closed_folders(below_closed: Path) -> None:
    """Regression: with the capability to enter them, that user could change every file."""
    pid = (below_closed / "data" / "postmaster.pid").read_text().split()[0]
    status = Path(f"/proc/{pid}/status").read_text()
    held = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
    assert "0" not in held["Uid"]
    assert [int(held[f"Cap{kind}"][0], 16) for kind in ("Inh", "Prm", "Eff", "Amb")] == [0] * 4
