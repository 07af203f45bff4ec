"""Kills of the relay, Kafka and PostgreSQL under load lose no event and keep the order."""

import asyncio
import random
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest_asyncio

from ops.waiting import until
from services.kernel.ids import new_id
from tests.integration.relay.outbox import (
    debit,
    first_seen_by_key,
    messages_of,
    relaying,
    start_relay,
    until_drained,
)
from tests.rigs.stores import KafkaStore, PostgresStore

LOST_CONNECTION = (OSError, asyncpg.InterfaceError, asyncpg.PostgresError)


class Load:
    """Several writers debit a few accounts; records the committed events in order."""

    def __init__(self, pool: asyncpg.Pool, accounts: list[UUID]) -> None:
        self.committed: dict[str, list[str]] = {str(account): [] for account in accounts}
        self._pool = pool
        self._accounts = accounts
        self.stopped = False

    async def write(self, account: UUID) -> None:
        """Debit one account repeatedly; a debit with an unknown outcome is not counted."""
        while not self.stopped:
            try:
                event_id = await debit(self._pool, account)
            except LOST_CONNECTION:
                await asyncio.sleep(0.1)
            else:
                self.committed[str(account)].append(str(event_id))

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the writers during the block."""
        writers = asyncio.gather(*(self.write(account) for account in self._accounts))
        try:
            yield
        finally:
            self.stopped = True
            await writers


@pytest_asyncio.fixture
async def load(payments: asyncpg.Pool, superuser: asyncpg.Pool) -> Load:
    """Writers on six accounts, one each, so that the order of commits is known."""
    accounts = [new_id() for _ in range(6)]
    await superuser.execute(
        "SELECT ledger.seed_accounts($1::uuid[], array_fill(1000000::bigint, ARRAY[6]))", accounts
    )
    return Load(payments, accounts)


async def _assert_all_in_order(load: Load, kafka: KafkaStore, superuser: asyncpg.Pool) -> None:
    """Require each committed event in Kafka, in its account's order, with its offset recorded."""
    await until_drained(superuser)
    messages = await messages_of(kafka, "payments")
    order = first_seen_by_key(messages)
    offsets = {(m.partition(), m.offset()): m.key() for m in messages}
    for account, expected in load.committed.items():
        assert expected, "the load wrote nothing"
        wanted = set(expected)
        # A debit that a crash interrupted may have been committed without the writer's knowledge.
        assert [event for event in order[account] if event in wanted] == expected
        kept = await superuser.fetch(
            "SELECT event_id, partition, kafka_offset FROM outbox.published"
            " WHERE event_id = ANY ($1::uuid[])",
            expected,
        )
        assert len(kept) == len(expected)
        for row in kept:
            assert offsets[row["partition"], row["kafka_offset"]] == account.encode()


async def _published_more(superuser: asyncpg.Pool) -> None:
    """Wait until a relay has published an event: a relay that only starts has none to lose."""
    sql = "SELECT count(*) FROM outbox.published"
    before = await superuser.fetchval(sql)

    async def more() -> bool:
        return await superuser.fetchval(sql) > before

    await until(more, 60, "a relay publishes")


async def test_relays_killed_at_random_moments_lose_nothing_and_keep_the_order(
    postgres: PostgresStore,
    kafka: KafkaStore,
    superuser: asyncpg.Pool,
    load: Load,
    relay_log: Path,
) -> None:
    randomness = random.Random()
    # Small batches without a pause, so that a kill often hits one and the backlog stays short.
    knobs = {
        "BP_RELAY_BATCH_ROWS_MAX": "20",
        "BP_RELAY_GATHER_MS": "0",
        "BP_RELAY_LEAD_POLL_MS": "20",
    }
    async with load.running():
        # Two relays, so that the standby takes over while the last batch of the killed one arrives.
        relays = [await start_relay(postgres, kafka, relay_log, **knobs) for _ in range(2)]
        for _ in range(8):
            await _published_more(superuser)
            await asyncio.sleep(randomness.uniform(0.0, 1.0))
            await relays.pop(0).kill()
            relays.append(await start_relay(postgres, kafka, relay_log, **knobs))
    try:
        await _assert_all_in_order(load, kafka, superuser)
    finally:
        for relay in relays:
            await relay.kill()


async def test_only_one_relay_leads_and_the_standby_takes_over(
    postgres: PostgresStore, kafka: KafkaStore, superuser: asyncpg.Pool, relay_log: Path
) -> None:
    async def leaders() -> int:
        return await superuser.fetchval(
            "SELECT count(*) FROM outbox.leader l JOIN pg_stat_activity a"
            " ON a.pid = l.pid AND a.backend_start = l.start_time"
        )

    async def connected() -> bool:
        return await superuser.fetchval(
            "SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name = 'relay'"
        )

    async def led() -> bool:
        return await leaders() == 1

    first = await start_relay(postgres, kafka, relay_log)
    await until(led)
    async with relaying(postgres, kafka, relay_log):
        await until(connected)
        assert await leaders() == 1
        await first.kill()
        await until(led)


async def test_events_wait_while_kafka_is_killed_and_then_all_arrive_in_order(
    postgres: PostgresStore,
    kafka: KafkaStore,
    superuser: asyncpg.Pool,
    load: Load,
    relay_log: Path,
) -> None:
    async with relaying(postgres, kafka, relay_log), load.running():
        await until(lambda: _some(load, 100))
        kafka.runner.kill(signal.SIGKILL)
        await until(lambda: _some(load, 400))
        assert await kafka.runner.wait_ready()
        load.stopped = True
        await _assert_all_in_order(load, kafka, superuser)


async def test_the_relay_returns_after_postgresql_was_killed(
    postgres: PostgresStore,
    kafka: KafkaStore,
    superuser: asyncpg.Pool,
    load: Load,
    relay_log: Path,
) -> None:
    async with relaying(postgres, kafka, relay_log), load.running():
        await until(lambda: _some(load, 100))
        postgres.runner.kill(signal.SIGQUIT)
        before = _count(load)
        await until(lambda: _some(load, before + 100))
        load.stopped = True
        await _assert_all_in_order(load, kafka, superuser)


def _count(load: Load) -> int:
    return sum(len(events) for events in load.committed.values())


async def _some(load: Load, count: int) -> bool:
    return _count(load) >= count
