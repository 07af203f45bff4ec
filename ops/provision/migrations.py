"""Migrates the databases with dbmate: plain SQL, in a fixed order within a database.

dbmate stores the number of each migration it ran. It also stores each file's digest. So a migration
run recognises a database of another version before it changes anything. A migration's folder may
have `reworded.sha256`, the digests of earlier texts that differ from a file in comments only.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import asyncpg

from ops.provision.roster import MIGRATIONS, REPO
from ops.provision.stores import PostgresServer, RunProgram

DBMATE = Path(sys.prefix) / "bin" / "dbmate"
SERVICES = REPO / "services"


class IncompatibleDatabase(Exception):
    """The database was made by another version of the bank; the message says what to do."""


async def migrate(postgres: PostgresServer, logs: Path, run: RunProgram) -> None:
    """Migrate every database: databases concurrently, the services of one database in order.
    Raises IncompatibleDatabase, before any change, when a database ran other migrations."""
    for database, order in MIGRATIONS.items():
        await _refuse_foreign(postgres, database, order)
    await asyncio.gather(
        *(migrate_database(postgres, logs, run, name, order) for name, order in MIGRATIONS.items())
    )


async def migrate_database(
    postgres: PostgresServer, logs: Path, run: RunProgram, database: str, services: tuple[str, ...]
) -> None:
    """Migrate one database, its services in this order."""
    for service in services:
        folder = SERVICES / service / "sql" / "migrations"
        if not folder.exists():
            continue
        options = ("--no-dump-schema", "--migrations-dir", str(folder))
        table = ("--migrations-table", _table(service))
        # The URL holds the password, so it is passed in dbmate's environment, not as an argument.
        await run(
            (str(DBMATE), *options, *table, "migrate"),
            {"DATABASE_URL": postgres.url(database)},
            logs / f"migrations-{database}-{service}.log",
        )
        await _note_digests(postgres, database, service)


def foreign(
    applied: dict[str, str | None], held: dict[str, str], reworded: frozenset[str] = frozenset()
) -> str:
    """Describe the first applied migration that is unknown here or differs; empty when all match.
    `applied` and `held` are digests by version; a digest of None is unknown and not compared, and
    one of `reworded` is that of the same statements with other comments."""
    unknown = sorted(applied.keys() - held.keys())
    if unknown:
        return f"ran migration {unknown[0]}, which this version of the bank does not have"
    known = {None, *reworded}
    changed = sorted(v for v, digest in applied.items() if digest not in {held[v], *known})
    return f"ran a different migration {changed[0]} than this version's" if changed else ""


async def _refuse_foreign(
    postgres: PostgresServer, database: str, services: tuple[str, ...]
) -> None:
    connection = await postgres.connect(database)
    try:
        for service in services:
            applied = await _applied(connection, service)
            finding = foreign(applied, _held(service), _reworded(service))
            if finding:
                raise IncompatibleDatabase(
                    f"the database {database} of {service} {finding}: another version of the bank"
                    f" made it. Go back to that version, or discard its data: run `make down`,"
                    f" remove {postgres.data_location}, run `make up`."
                )
    finally:
        await connection.close()


def _table(service: str) -> str:
    return f"schema_migrations_{service}"


def _held(service: str) -> dict[str, str]:
    """Digest of each migration file by version, which is the number at the start of its name."""
    files = (SERVICES / service / "sql" / "migrations").glob("*.sql")
    return {f.name.partition("_")[0]: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def _reworded(service: str) -> frozenset[str]:
    file = SERVICES / service / "sql" / "migrations" / "reworded.sha256"
    lines = file.read_text().splitlines() if file.exists() else []
    return frozenset(line.split()[0] for line in lines)


async def _applied(connection: asyncpg.Connection, service: str) -> dict[str, str | None]:
    if await connection.fetchval("SELECT to_regclass($1)", f"public.{_table(service)}") is None:
        return {}
    # Read through JSON, because an older database's table has no column `digest` yet.
    sql = f"SELECT version, to_jsonb(d) ->> 'digest' AS digest FROM public.{_table(service)} d"  # noqa: S608
    rows = await connection.fetch(sql)
    return {row["version"]: row["digest"] for row in rows}


async def _note_digests(postgres: PostgresServer, database: str, service: str) -> None:
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
