"""Migrations by dbmate: plain SQL of each service, in order where services share a database.

dbmate keeps the number of each migration it ran; the digest of the file is kept beside it, so
that a database of another version of the bank is told before anything is done to it.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path
from urllib.parse import quote

import asyncpg

from sandbox.stack import launch
from sandbox.stack.home import REPO
from sandbox.stack.parts.postgres import SUPERUSER, Postgres
from sandbox.stack.roster import MIGRATIONS

DBMATE = Path(sys.prefix) / "bin" / "dbmate"
SERVICES = REPO / "services"


class IncompatibleDatabase(Exception):
    """The database was made by another version of the bank; the message says what to do."""


async def migrate(postgres: Postgres, logs: Path) -> None:
    """Bring every database up to date; databases at once, services of one database in order.
    Raises IncompatibleDatabase, before any change, when one ran other migrations than these."""
    for database, order in MIGRATIONS.items():
        await _refuse_foreign(postgres, database, order)
    await asyncio.gather(
        *(migrate_database(postgres, logs, name, order) for name, order in MIGRATIONS.items())
    )


async def migrate_database(
    postgres: Postgres, logs: Path, database: str, services: tuple[str, ...]
) -> None:
    """Bring one database up to date, its services in this order."""
    for service in services:
        folder = SERVICES / service / "sql" / "migrations"
        if not folder.exists():
            continue
        options = ("--no-dump-schema", "--migrations-dir", str(folder))
        table = ("--migrations-table", _table(service))
        await launch.run(
            (str(DBMATE), *options, *table, "migrate"),
            # In the environment of this short process, not in its argument list.
            env=launch.child_environment({"DATABASE_URL": url(postgres, database)}),
            log=logs / f"migrations-{service}.log",
        )
        await _note_digests(postgres, database, service)


def url(postgres: Postgres, database: str) -> str:
    """The superuser's URL of one database as dbmate reads it."""
    login = f"{SUPERUSER}:{quote(postgres.password)}"
    if postgres.host.startswith("/"):
        socket = quote(postgres.host)
        return f"postgres://{login}@:{postgres.port}/{database}?socket={socket}&sslmode=disable"
    return f"postgres://{login}@{postgres.host}:{postgres.port}/{database}?sslmode=disable"


def foreign(applied: dict[str, str | None], held: dict[str, str]) -> str:
    """What a database ran (digest by version, None: not known) that is not among the migrations
    of this tree; empty when all of it is."""
    unknown = sorted(applied.keys() - held.keys())
    if unknown:
        return f"ran migration {unknown[0]}, which is not in this tree"
    changed = sorted(v for v, digest in applied.items() if digest not in (None, held[v]))
    return f"ran another migration {changed[0]} than the one in this tree" if changed else ""


async def _refuse_foreign(postgres: Postgres, database: str, services: tuple[str, ...]) -> None:
    connection = await postgres.connect(database)
    try:
        for service in services:
            finding = foreign(await _applied(connection, service), _held(service))
            if finding:
                raise IncompatibleDatabase(
                    f"the database {database} of {service} {finding}: another version of the bank"
                    f" made it. Go back to that version; or give up its data: `make down`, remove"
                    f" {_place(postgres)}, `make up`."
                )
    finally:
        await connection.close()


def _place(postgres: Postgres) -> str:
    if postgres.external_host:
        return f"the databases at {postgres.external_host}:{postgres.port}"
    return str(postgres.home.root)


def _table(service: str) -> str:
    return f"schema_migrations_{service}"


def _held(service: str) -> dict[str, str]:
    """Digest of each migration in the tree by its version, the number at its name's start."""
    files = (SERVICES / service / "sql" / "migrations").glob("*.sql")
    return {f.name.partition("_")[0]: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


async def _applied(connection: asyncpg.Connection, service: str) -> dict[str, str | None]:
    if await connection.fetchval("SELECT to_regclass($1)", f"public.{_table(service)}") is None:
        return {}
    # Through JSON, since a database that was not migrated since has no digests yet.
    sql = f"SELECT version, to_jsonb(d) ->> 'digest' AS digest FROM public.{_table(service)} d"  # noqa: S608
    rows = await connection.fetch(sql)
    return {row["version"]: row["digest"] for row in rows}


async def _note_digests(postgres: Postgres, database: str, service: str) -> None:
    connection, table = await postgres.connect(database), f"public.{_table(service)}"
    held = _held(service)
    try:
        await connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS digest text")
        await connection.execute(
            f"UPDATE {table} done SET digest = held.digest"  # noqa: S608
            " FROM unnest($1::text[], $2::text[]) held (version, digest)"
            " WHERE done.version = held.version AND done.digest IS NULL",
            list(held),
            list(held.values()),
        )
    finally:
        await connection.close()
