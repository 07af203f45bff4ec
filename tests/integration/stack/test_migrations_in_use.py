"""Migrations of a database in use: they never wait long for a lock, and a failed one is undone."""

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from ops.provision import migration_run, migrations
from ops.provision.migration_run import TableInUse
from ops.waiting import scaled_s, until
from sandbox.stack.supervisor.launch import run_program
from tests.rigs.stores import PostgresStore

TOYS = """-- migrate:up
CREATE SCHEMA toys;
CREATE TABLE toys.toy (id integer NOT NULL, name text);
CREATE TABLE toys.price (id integer NOT NULL);
-- migrate:down
DROP SCHEMA toys CASCADE;
"""
WIDER = """-- migrate:up
CREATE TABLE toys.maker (id integer NOT NULL);
ALTER TABLE toys.toy ADD COLUMN size integer;
-- migrate:down
"""
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('toys.toy_name')"
UNIQUE = """-- migrate:up transaction:false
CREATE UNIQUE INDEX CONCURRENTLY toy_name ON toys.toy (name);
-- migrate:down
"""
BY_MONTH = """-- migrate:up
CREATE TABLE toys.sale (month integer NOT NULL, id integer NOT NULL) PARTITION BY LIST (month);
CREATE TABLE toys.sale_1 PARTITION OF toys.sale FOR VALUES IN (1);
CREATE TABLE toys.sale_2 PARTITION OF toys.sale FOR VALUES IN (2);
-- migrate:down
"""
INDEX_BY_MONTH = """-- migrate:up
CREATE UNIQUE INDEX sale_by_id ON ONLY toys.sale (id, month) WHERE id > 0;
-- migrate:down
"""
PARTS = """
SELECT array_agg(h.inhrelid::regclass::text ORDER BY 1)
FROM pg_inherits h JOIN pg_index i ON i.indexrelid = h.inhparent
WHERE i.indexrelid = to_regclass('toys.sale_by_id') AND i.indisvalid
"""
QUEUED = """
SELECT count(*) FROM pg_locks
WHERE relation = 'toys.toy'::regclass AND NOT granted AND mode = 'AccessExclusiveLock'
"""
BUILDING = "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase ~ '^waiting'"
COLUMNS = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'toys.toy'::regclass AND attnum > 0"


@dataclass(frozen=True)
class Toys:
    """A separate database with one service; tests add migrations to its folder."""

    store: PostgresStore
    folder: Path
    logs: Path
    database: str

    async def session(self) -> asyncpg.Connection:
        """A session of the database."""
        return await self.store.session("postgres", self.database)

    async def migrate(self) -> None:
        """Run the pending migrations."""
        server = self.store.part.server
        await migrations.migrate_database(server, self.logs, run_program, self.database, ("toys",))

    def failures(self) -> int:
        """How many times a migration has failed so far."""
        logs = self.logs.glob("*.log")
        return sum(len(re.findall(r"^Error:", log.read_text(), re.MULTILINE)) for log in logs)


@pytest_asyncio.fixture
async def toys(
    postgres: PostgresStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Toys]:
    """A migrated database of toys."""
    folder = tmp_path / "toys" / "sql" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_toys.sql").write_text(TOYS)
    monkeypatch.setattr(migrations, "SERVICES", tmp_path)
    admin = await postgres.session("postgres")
    await admin.execute("CREATE DATABASE toys")
    try:
        made = Toys(postgres, folder, tmp_path, "toys")
        await made.migrate()
        yield made
    finally:
        await admin.execute("DROP DATABASE toys WITH (FORCE)")
        await admin.close()


async def test_readers_and_writers_continue_while_a_migration_waits_for_a_long_reader(
    toys: Toys,
) -> None:
    (toys.folder / "0002_wider.sql").write_text(WIDER)
    reader, writer = await toys.session(), await toys.session()
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("SELECT * FROM toys.toy")
    migrating = asyncio.create_task(toys.migrate())
    try:
        for number in range(3):
            await until(lambda: writer.fetchval(QUEUED), what="the migration waits for its lock")
            # This catches a hang: the reader ends only after these statements.
            async with asyncio.timeout(scaled_s(20)):
                await writer.execute("INSERT INTO toys.toy VALUES ($1, 'ball')", number)
        assert await writer.fetchval("SELECT count(*) FROM toys.toy") == 3
        assert await writer.fetchval("SELECT to_regclass('toys.maker')") is None
        await reading.rollback()
        await migrating
        assert await writer.fetchval(COLUMNS) == 3
    finally:
        migrating.cancel()
        await asyncio.gather(migrating, return_exceptions=True)
        await reader.close()
        await writer.close()


async def test_a_migration_that_gets_no_lock_ends_with_an_error_that_names_who_holds_it(
    toys: Toys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_run, "ATTEMPTS_MAX", 2)
    monkeypatch.setattr(migration_run, "PAUSE_S", 0.0)
    (toys.folder / "0002_wider.sql").write_text(WIDER)
    reader = await toys.session()
    try:
        async with reader.transaction():
            await reader.fetch("SELECT * FROM toys.toy")
            with pytest.raises(TableInUse, match=r"0002_wider\.sql .* of postgres \(test-postgres"):
                await toys.migrate()
        assert toys.failures() == 2
        assert await reader.fetchval("SELECT to_regclass('toys.maker')") is None
    finally:
        await reader.close()


async def test_a_migration_with_an_error_of_its_own_is_not_repeated_and_leaves_nothing(
    toys: Toys,
) -> None:
    (toys.folder / "0002_wrong.sql").write_text(
        "-- migrate:up\nCREATE TABLE toys.maker (); SELECT 1 / 0;\n-- migrate:down\n"
    )
    with pytest.raises(RuntimeError, match="division by zero"):
        await toys.migrate()
    assert toys.failures() == 1
    session = await toys.session()
    try:
        assert await session.fetchval("SELECT to_regclass('toys.maker')") is None
    finally:
        await session.close()


async def test_an_index_whose_concurrent_build_failed_is_dropped_and_built_again(
    toys: Toys,
) -> None:
    session = await toys.session()
    try:
        await session.execute("INSERT INTO toys.toy VALUES (1, 'ball'), (2, 'ball')")
        (toys.folder / "0002_unique.sql").write_text(UNIQUE)
        with pytest.raises(RuntimeError, match="could not create unique index"):
            await toys.migrate()
        assert await session.fetchval(VALID) is False
        await session.execute("DELETE FROM toys.toy WHERE id = 2")
        (toys.folder / "0003_wider.sql").write_text(WIDER)
        await toys.migrate()
        assert await session.fetchval(VALID) is True
        assert await session.fetchval(COLUMNS) == 3
    finally:
        await session.close()


async def test_an_index_of_a_partitioned_table_is_built_in_each_partition_while_it_is_written(
    toys: Toys,
) -> None:
    (toys.folder / "0002_sales.sql").write_text(BY_MONTH)
    await toys.migrate()
    (toys.folder / "0003_index.sql").write_text(INDEX_BY_MONTH)
    writer, session = await toys.session(), await toys.session()
    writing = writer.transaction()
    await writing.start()
    await writer.execute("INSERT INTO toys.sale_1 VALUES (1, 3)")
    migrating = asyncio.create_task(toys.migrate())
    try:
        # A concurrent build waits for writers that began before it, and does not block others.
        await until(lambda: session.fetchval(BUILDING), what="the build waits")
        await session.execute("INSERT INTO toys.sale VALUES (1, 1), (2, 2)")
        await writing.rollback()
        await migrating
        assert await session.fetchval(PARTS) == ["toys.sale_by_id_1", "toys.sale_by_id_2"]
        with pytest.raises(asyncpg.UniqueViolationError):
            await session.execute("INSERT INTO toys.sale VALUES (2, 2)")
    finally:
        migrating.cancel()
        await asyncio.gather(migrating, return_exceptions=True)
        await writer.close()
        await session.close()


async def test_a_part_of_an_index_that_was_built_and_not_attached_is_attached(toys: Toys) -> None:
    (toys.folder / "0002_sales.sql").write_text(BY_MONTH)
    await toys.migrate()
    session = await toys.session()
    try:
        await session.execute(
            "CREATE UNIQUE INDEX sale_by_id_2 ON toys.sale_2 (id, month) WHERE id > 0"
        )
        (toys.folder / "0003_index.sql").write_text(INDEX_BY_MONTH)
        await toys.migrate()
        assert await session.fetchval(PARTS) == ["toys.sale_by_id_1", "toys.sale_by_id_2"]
    finally:
        await session.close()
