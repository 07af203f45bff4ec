"""Runs the pending migrations of one service while the bank is in use.

While a statement waits for a table lock, all later statements on that table wait too. So a
migration gives up after a short wait, rolls back, and is repeated. Building an index CONCURRENTLY
blocks no other statement while it waits, so it may wait longer. If the build fails, it leaves an
invalid index, which is dropped before the next attempt.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from ops.provision import partitioned_indexes
from ops.provision.stores import PostgresServer, RunProgram

DBMATE = Path(sys.prefix) / "bin" / "dbmate"

LOCK_WAIT_MS = 200
"""How long a migration waits for a lock; less than payments and transfers wait in a batch (250)."""
CONCURRENT_LOCK_WAIT_MS = 600_000
"""How long building an index waits for older transactions; it blocks no reader or writer."""
ATTEMPTS_MAX = 60
"""How many times a migration is tried if it does not get its locks."""
PAUSE_S = 1.0
"""The pause between two attempts; statements that the last attempt blocked run during it."""

_LOCK_REFUSED = re.compile(r"\((55P03|40P01)\)")
"""The SQLSTATE of an unavailable lock or a deadlock, in dbmate's message."""
_CONCURRENT = re.compile(r"^-- migrate:up\s+transaction:false\b")

_INVALID_INDEXES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
  AND NOT EXISTS (
      SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
"""
_OLDEST_TRANSACTION = """
SELECT format('process %s of %s (%s), open since %s', pid, usename, application_name, xact_start)
FROM pg_stat_activity
WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
ORDER BY xact_start LIMIT 1
"""


class TableInUse(Exception):
    """A migration did not get its locks; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class MigrationRun:
    """The migrations of one service in one database."""

    postgres: PostgresServer
    run: RunProgram
    database: str
    service: str
    folder: Path
    log: Path

    async def finish(self) -> None:
        """Run all pending migrations, in order. Raises TableInUse, and the errors of `run`."""
        while files := await self._pending():
            concurrent, group = next(itertools.groupby(files, _is_concurrent))
            await self._run_group(list(group), concurrent=concurrent)
        await self._finish_indexes()

    async def _run_group(self, files: Sequence[Path], *, concurrent: bool) -> None:
        """Run migrations, and repeat those that do not get their locks."""
        attempts, left = 0, list(files)
        while left:
            await self._drop_invalid_indexes()
            failure = await self._attempt(left, concurrent=concurrent)
            pending = set(await self._pending())
            before, left = left, [file for file in left if file in pending]
            if failure is None:
                return
            attempts = attempts + 1 if left == before else 1
            if attempts >= ATTEMPTS_MAX:
                raise await self._in_use(f"migration {left[0].name}") from failure
            await asyncio.sleep(PAUSE_S)

    async def _attempt(self, files: Sequence[Path], *, concurrent: bool) -> RuntimeError | None:
        """Run dbmate once; return its error if a lock was refused, and raise any other."""
        wait_ms = CONCURRENT_LOCK_WAIT_MS if concurrent else LOCK_WAIT_MS
        url = self.postgres.url(self.database)
        with tempfile.TemporaryDirectory() as folder:
            for file in files:
                shutil.copy(file, folder)
            options = ("--no-dump-schema", "--migrations-dir", folder)
            table = ("--migrations-table", f"schema_migrations_{self.service}")
            try:
                # The URL holds the password, so it is passed in dbmate's environment, not as an
                # argument. The driver passes unknown parameters to PostgreSQL as settings.
                await self.run(
                    (str(DBMATE), *options, *table, "migrate"),
                    {"DATABASE_URL": f"{url}&lock_timeout={wait_ms}"},
                    self.log,
                )
            except RuntimeError as error:
                if not _LOCK_REFUSED.search(str(error).rpartition("Error:")[2]):
                    raise
                return error
        return None

    async def _finish_indexes(self) -> None:
        """Build and attach the missing parts of indexes of partitioned tables."""
        connection = await self.postgres.connect(self.database)
        try:
            for attempt in itertools.count(1):
                parts = await partitioned_indexes.missing(connection)
                if not parts:
                    return
                try:
                    await self._build(connection, parts)
                except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
                    if attempt >= ATTEMPTS_MAX:
                        raise await self._in_use(f"index {parts[0].index_name}") from error
                    await asyncio.sleep(PAUSE_S)
        finally:
            await connection.close()

    async def _build(
        self, connection: asyncpg.Connection, parts: Sequence[partitioned_indexes.Part]
    ) -> None:
        await self._drop_invalid_indexes()
        for part in parts:
            await connection.execute(f"SET lock_timeout = {CONCURRENT_LOCK_WAIT_MS}")
            await connection.execute(part.build)
            await connection.execute(f"SET lock_timeout = {LOCK_WAIT_MS}")
            await connection.execute(part.attach)

    async def _pending(self) -> list[Path]:
        connection = await self.postgres.connect(self.database)
        try:
            applied = await applied_digests(connection, self.service)
        finally:
            await connection.close()
        files = sorted(self.folder.glob("*.sql"))
        return [file for file in files if file.name.partition("_")[0] not in applied]

    async def _drop_invalid_indexes(self) -> None:
        """Drop invalid indexes of failed builds: IF NOT EXISTS would accept them on a retry."""
        connection = await self.postgres.connect(self.database)
        try:
            for row in await connection.fetch(_INVALID_INDEXES):
                await connection.execute(f"SET lock_timeout = {CONCURRENT_LOCK_WAIT_MS}")
                await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {row['name']}")
        finally:
            await connection.close()

    async def _in_use(self, what: str) -> TableInUse:
        connection = await self.postgres.connect(self.database)
        try:
            oldest = await connection.fetchval(_OLDEST_TRANSACTION)
        finally:
            await connection.close()
        return TableInUse(
            f"the {what} of {self.service} did not get a lock in {self.database} in"
            f" {ATTEMPTS_MAX} attempts, and changed nothing. The oldest transaction there:"
            f" {oldest or 'none now'}. End it or wait until it ends, and migrate again."
        )


def migrations_table(service: str) -> str:
    """Return the name of dbmate's table of a service, with its schema."""
    return f"public.schema_migrations_{service}"


async def applied_digests(connection: asyncpg.Connection, service: str) -> dict[str, str | None]:
    """Return the digest of each migration that ran, by version; None where it is unknown."""
    table = migrations_table(service)
    if await connection.fetchval("SELECT to_regclass($1)", table) is None:
        return {}
    # Read through JSON, because an older database's table has no column `digest` yet.
    sql = f"SELECT version, to_jsonb(d) ->> 'digest' AS digest FROM {table} d"  # noqa: S608
    rows = await connection.fetch(sql)
    return {row["version"]: row["digest"] for row in rows}


def _is_concurrent(file: Path) -> bool:
    """Return whether a migration runs outside a transaction, as a concurrent build must."""
    return _CONCURRENT.match(file.read_text().lstrip()) is not None
