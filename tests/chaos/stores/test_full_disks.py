"""With a store's disk full, other work continues; with free space, the bank recovers unaided."""

import asyncio
from collections.abc import Awaitable, Callable, Generator

import asyncpg
import pytest

from ops.waiting import until
from sandbox.stack.testing import RunningStack
from tests.chaos.stores import small_volumes
from tests.chaos.stores.load import load
from tests.chaos.stores.small_volumes import SmallVolumes
from tests.rigs.running_bank import Bank

WITHIN_S = 45
WAITING_EVENTS = 20
NO_ROOM = "No space left on device"
NEXT_WAL_FILE = "SELECT pg_logical_emit_message(true, '', 'x'), pg_switch_wal()"


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Generator[SmallVolumes]:
    """A separate bank whose PostgreSQL and Kafka are on small volumes."""
    running = small_volumes.start(tmp_path_factory.mktemp("volumes") / "home")
    try:
        running.stack.ensure()
        yield running
    finally:
        running.stack.down()


@pytest.fixture(scope="module")
def stack(volumes: SmallVolumes) -> RunningStack:
    """Replaces the session's bank with this one, so that the fixture `bank` uses and judges it."""
    return volumes.stack


def _told(bank: Bank, part: str, what: str) -> Callable[[], Awaitable[bool]]:
    """Return a condition: a part has logged a text once more."""
    before = bank.stack.log(part).count(what)

    async def there() -> bool:
        return bank.stack.log(part).count(what) > before

    return there


async def _started_in_vain(bank: Bank, part: str) -> bool:
    return (await asyncio.to_thread(bank.stack.nodes))[part]["failed_starts"] >= 2


async def _events_wait(bank: Bank) -> bool:
    rows = await bank.rows("bp_write", "SELECT count(*) AS n FROM outbox.event")
    return rows[0]["n"] >= WAITING_EVENTS


async def test_with_kafkas_disk_full_customers_pay_and_events_wait_in_the_outbox(
    bank: Bank, volumes: SmallVolumes
) -> None:
    async with load(bank) as paying:
        no_room = _told(bank, "kafka", NO_ROOM)
        with volumes.room_afterwards("kafka"):
            await asyncio.to_thread(volumes.fill, "kafka")
            await until(no_room, 30, "Kafka finds no space")
            await until(lambda: _started_in_vain(bank, "kafka"), 30, "it cannot start either")
            await until(lambda: _events_wait(bank), 30, "events wait in the outbox")
            await paying.more(20)
        await asyncio.to_thread(bank.stack.wait_ready, "kafka", timeout_s=WITHIN_S)
        await paying.more(10)
    assert not paying.refusals
    await paying.assert_whole(WITHIN_S)


async def _use_up_wal(connection: asyncpg.Connection) -> None:
    """Make the server start new WAL files until the disk is full, as load would do later."""

    async def refused() -> bool:
        try:
            await connection.execute(NEXT_WAL_FILE)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return True
        return False

    await until(refused, 60, "PostgreSQL cannot start another WAL file")


async def test_with_postgres_disk_full_callers_are_told_to_retry_and_nothing_is_half_done(
    bank: Bank, volumes: SmallVolumes
) -> None:
    async with load(bank) as paying:
        payer = paying.payers[0]
        await bank.in_state(payer.customer, payer.taken[0], "SUBMITTED")
        no_page = _told(bank, "postgres", "could not extend file")
        no_log = _told(bank, "postgres", "PANIC")
        # Opened before the disk is full: a new session writes a cache file and may fail.
        connection = await bank.connect("bp_write")
        # Start a new WAL file, so that the space for rows runs out first.
        await connection.execute(NEXT_WAL_FILE)
        with volumes.room_afterwards("postgres"):
            await asyncio.to_thread(volumes.fill, "postgres")
            await until(no_page, 30, "PostgreSQL finds no space for a row")
            await paying.refused()
            assert (await bank.transfer(payer.customer, payer.taken[0]))["state"] == "SUBMITTED"
            await _use_up_wal(connection)
            connection.terminate()
            await until(no_log, 10, "PostgreSQL finds no space for its WAL and ends")
            await until(lambda: _started_in_vain(bank, "postgres"), 20, "it cannot recover either")
            await paying.refused()
        await asyncio.to_thread(bank.stack.wait_ready, "postgres", timeout_s=WITHIN_S)
        await paying.more(20, WITHIN_S)
    paying.assert_clear()
    await paying.assert_whole(WITHIN_S)
