"""A store's disk is full: what can go on goes on, and with room again all heals by itself."""

import asyncio
from collections.abc import Generator

import asyncpg
import pytest

from sandbox.stack.testing import RunningStack
from tests.chaos.stores import small_volumes
from tests.chaos.stores.load import load
from tests.chaos.stores.small_volumes import SmallVolumes
from tests.e2e.bank import Bank, until

WITHIN_S = 45
WAITING_EVENTS = 20
USE_WAL = "SELECT pg_logical_emit_message(true, '', 'x'), pg_switch_wal()"


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Generator[SmallVolumes]:
    """A whole bank of its own whose PostgreSQL and Kafka lie on small volumes."""
    running = small_volumes.start(tmp_path_factory.mktemp("volumes") / "home")
    try:
        running.stack.ensure()
        yield running
    finally:
        running.stack.down()


@pytest.fixture(scope="module")
def stack(volumes: SmallVolumes) -> RunningStack:
    """That bank in the place of the session's: `bank` is its customer and its judge."""
    return volumes.stack


async def test_without_room_for_kafka_customers_pay_on_and_events_wait_in_the_outbox(
    bank: Bank, volumes: SmallVolumes
) -> None:
    async with load(bank) as paying:
        await asyncio.to_thread(volumes.fill, "kafka")

        async def waiting() -> bool:
            rows = await bank.rows("bp_write", "SELECT count(*) AS n FROM outbox.event")
            return rows[0]["n"] >= WAITING_EVENTS

        await until(waiting, 30, "events wait in the outbox")
        await paying.more(20)
        volumes.make_room("kafka")
        await asyncio.to_thread(bank.stack.wait_ready, "kafka", timeout_s=WITHIN_S)
        await paying.more(10)
    assert not paying.refusals
    await paying.assert_whole(WITHIN_S)


async def _use_up_wal(bank: Bank) -> None:
    """Write ahead until the server has no room to; a real load would come to it later."""
    connection = await bank.connect("bp_write")
    try:
        while True:
            await connection.execute(
                "SELECT pg_logical_emit_message(true, '', 'x'), pg_switch_wal()"
            )
    finally:
        connection.terminate()


async def test_without_room_for_postgres_callers_are_told_to_repeat_and_nothing_is_half_done(
    bank: Bank, volumes: SmallVolumes
) -> None:
    server = bank.stack.pid("postgres")
    async with load(bank) as paying:
        await asyncio.to_thread(volumes.fill, "postgres")
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await _use_up_wal(bank)
        await paying.refused()
        volumes.make_room("postgres")
        await asyncio.to_thread(bank.stack.wait_ready, "postgres", timeout_s=WITHIN_S)
        await paying.more(20, WITHIN_S)
    paying.assert_clear()
    assert "No space left on device" in bank.stack.log("postgres")
    await paying.assert_whole()
    assert server
