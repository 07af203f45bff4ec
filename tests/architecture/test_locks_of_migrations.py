"""The check refuses a new migration that would stop the bank, and names the broken rule."""

from pathlib import Path

import pytest

from tests.architecture.sources import REPO
from tools.check import locks
from tools.check.tools import CheckFailed

REFUSED = {
    "an index of a table in use": (
        "CREATE INDEX toy_name ON toys.toy (name);",
        "require-concurrent-index-creation",
    ),
    "an index that is dropped": ("DROP INDEX toys.toy_name;", "require-concurrent-index-deletion"),
    "a column that old rows lack": (
        "ALTER TABLE toys.toy ADD COLUMN size integer NOT NULL;",
        "adding-required-field",
    ),
    "a default that is computed for each row": (
        "ALTER TABLE toys.toy ADD COLUMN number bigint DEFAULT nextval('toys.number');",
        "adding-field-with-default",
    ),
    "NOT NULL of a column in use": (
        "ALTER TABLE toys.toy ALTER COLUMN name SET NOT NULL;",
        "adding-not-nullable-field",
    ),
    "another type": (
        "ALTER TABLE toys.toy ALTER COLUMN id TYPE bigint;",
        "changing-column-type",
    ),
    "a constraint that reads all rows": (
        "ALTER TABLE toys.toy ADD CONSTRAINT named CHECK (name <> '');",
        "constraint-missing-not-valid",
    ),
    "a column that running processes may read": (
        "ALTER TABLE toys.toy DROP COLUMN name;",
        "ban-drop-column",
    ),
    "two tables": (
        "ALTER TABLE toys.toy ADD COLUMN a integer;\nALTER TABLE toys.price ADD COLUMN a integer;",
        "one-locked-table",
    ),
    "a lock and a trigger": (
        "LOCK TABLE toys.price;\n"
        "CREATE TRIGGER t AFTER INSERT ON toys.toy FOR EACH ROW EXECUTE FUNCTION toys.f();",
        "one-locked-table",
    ),
    "a function that running processes may call": (
        "DROP FUNCTION toys.f();",
        "dropped-function",
    ),
    "a right that running processes may use": (
        "REVOKE INSERT ON\n    toys.toy FROM bp_toys;",
        "revoked-right",
    ),
    "a concurrent build in a transaction": (
        "SELECT 1;\nCREATE INDEX CONCURRENTLY toy_name ON toys.toy (name);",
        "ban-concurrent-index-creation-in-transaction",
    ),
}
OUTSIDE = {
    "two statements": (
        "CREATE INDEX CONCURRENTLY toy_name ON toys.toy (name);\n"
        "CREATE INDEX CONCURRENTLY toy_id ON toys.toy (id);"
    ),
    "a statement that locks": "ALTER TABLE toys.toy ADD COLUMN size integer;",
}
ACCEPTED = {
    "a new table with its index": (
        "CREATE TABLE toys.maker (id integer PRIMARY KEY);\n"
        "CREATE INDEX maker_id ON toys.maker (id);\nALTER TABLE toys.toy ADD COLUMN maker integer;"
    ),
    "a default that is the same for all rows": (
        "ALTER TABLE toys.toy ADD COLUMN size integer NOT NULL DEFAULT 0;"
    ),
    "an index of a partitioned table": "CREATE INDEX toy_name\n    ON ONLY toys.toy (name);",
    "a constraint for new rows": (
        "ALTER TABLE toys.toy ADD CONSTRAINT named CHECK (name <> '') NOT VALID;"
    ),
    "a function": (
        "CREATE FUNCTION toys.f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN\n"
        "LOCK TABLE toys.price; LOCK TABLE toys.toy; END $$;"
    ),
    "a function that nobody may call": (
        "CREATE FUNCTION toys.g() RETURNS void LANGUAGE sql AS 'SELECT';\n"
        "REVOKE ALL ON FUNCTION toys.g() FROM PUBLIC;"
    ),
    "a function whose last caller has gone": (
        "-- The last release called it.\n-- squawk-ignore dropped-function\nDROP FUNCTION toys.f();"
    ),
    "a reason is given": (
        "-- No process reads the column since the last release.\n"
        "-- squawk-ignore ban-drop-column\nALTER TABLE toys.toy DROP COLUMN name;"
    ),
}
FROZEN = {
    "payments/sql/migrations/0018_pages_by_state.sql": "require-concurrent-index-creation",
    "payments/sql/migrations/0026_owner_without_login.sql": "one-locked-table",
    "payments/sql/migrations/0028_reviews.sql": "require-concurrent-index-creation",
    "payments/sql/migrations/0029_least_rights_and_retention.sql": "revoked-right",
    "payments/sql/migrations/0031_cancel_requester.sql": "dropped-function",
    "customers/sql/migrations/0004_account_numbers.sql": "adding-field-with-default",
}
"""Frozen migrations that the rules would refuse today."""


def _found(tmp_path: Path, text: str) -> set[str]:
    file = tmp_path / "0002_new.sql"
    file.write_text(text)
    return {finding.rule for finding in locks.findings(file)}


@pytest.mark.parametrize(("sql", "rule"), REFUSED.values(), ids=REFUSED)
def test_a_statement_that_blocks_a_table_in_use_is_refused(
    tmp_path: Path, sql: str, rule: str
) -> None:
    found = _found(tmp_path, f"-- migrate:up\n{sql}\n-- migrate:down\n")
    assert found == {rule}


@pytest.mark.parametrize("sql", OUTSIDE.values(), ids=OUTSIDE)
def test_a_migration_outside_a_transaction_is_one_concurrent_statement(
    tmp_path: Path, sql: str
) -> None:
    found = _found(tmp_path, f"-- migrate:up transaction:false\n{sql}\n-- migrate:down\n")
    assert found == {"one-concurrent-statement"}


@pytest.mark.parametrize("sql", ACCEPTED.values(), ids=ACCEPTED)
def test_a_statement_that_blocks_nothing_is_accepted(tmp_path: Path, sql: str) -> None:
    down = "-- migrate:down\nDROP TABLE toys.toy, toys.price;\n"
    assert _found(tmp_path, f"-- migrate:up\n{sql}\n{down}") == set()
    concurrent = "CREATE INDEX CONCURRENTLY toy_name ON toys.toy (name);"
    assert _found(tmp_path, f"-- migrate:up transaction:false\n{concurrent}\n{down}") == set()


@pytest.mark.parametrize(("file", "rule"), FROZEN.items())
def test_the_rules_find_what_frozen_migrations_block(file: str, rule: str) -> None:
    assert rule in {finding.rule for finding in locks.findings(REPO / "services" / file)}


def test_a_new_migration_is_refused_by_its_name_and_line_and_a_frozen_one_is_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "services/payments/sql/migrations"
    folder.mkdir(parents=True)
    blocks = "-- migrate:up\nCREATE INDEX toy_name ON toys.toy (name);\n-- migrate:down\n"
    (folder / "0018_old.sql").write_text(blocks)
    locks.refuse_long(tmp_path)
    (folder / "0099_new.sql").write_text(blocks)
    with pytest.raises(CheckFailed, match=r"0099_new\.sql:2: require-concurrent-index-creation"):
        locks.refuse_long(tmp_path)


def test_every_new_migration_of_the_bank_keeps_the_rules() -> None:
    locks.refuse_long(REPO)
