"""Migrates the databases with dbmate: plain SQL, in a fixed order within a database.

dbmate stores the number of each migration that it ran, and this module each file's digest. So a run
recognises a database of a different version before it changes anything. A migration's folder may
have `reworded.sha256`, the digests of earlier files that differ only in comments.
`migration_run.py` runs dbmate while the bank keeps working.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from ops.provision.migration_run import MigrationRun, applied_digests, migrations_table
from ops.provision.roster import MIGRATIONS, REPO
from ops.provision.stores import PostgresServer, RunProgram

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
    """Migrate one database, its services in this order. Raises TableInUse if a migration does not
    get its locks, and the errors of `run` if one fails."""
    for service in services:
        folder = SERVICES / service / "sql" / "migrations"
        if not folder.exists():
            continue
        log = logs / f"migrations-{database}-{service}.log"
        await MigrationRun(postgres, run, database, service, folder, log).finish()
        await _note_digests(postgres, database, service)


def foreign(
    applied: dict[str, str | None], held: dict[str, str], reworded: frozenset[str] = frozenset()
) -> str:
    """Describe the first applied migration that is unknown here or differs; empty when all match.
    `applied` and `held` are digests by version; a digest of None is unknown and not compared.
    `reworded` has digests of the same statements with different comments."""
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
            applied = await applied_digests(connection, service)
            finding = foreign(applied, _held(service), _reworded(service))
            if finding:
                raise IncompatibleDatabase(
                    f"the database {database} of {service} {finding}: another version of the bank"
                    f" made it. Go back to that version, or discard its data: run `make down`,"
                    f" remove {postgres.data_location}, run `make up`."
                )
    finally:
        await connection.close()


def _held(service: str) -> dict[str, str]:
    """Digest of each migration file by version, which is the number at the start of its name."""
    files = (SERVICES / service / "sql" / "migrations").glob("*.sql")
    return {f.name.partition("_")[0]: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def _reworded(service: str) -> frozenset[str]:
    file = SERVICES / service / "sql" / "migrations" / "reworded.sha256"
    lines = file.read_text().splitlines() if file.exists() else []
    return frozenset(line.split()[0] for line in lines)


async def _note_digests(postgres: PostgresServer, database: str, service: str) -> None:
    connection, table = await postgres.connect(database), migrations_table(service)
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
