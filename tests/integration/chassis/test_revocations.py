"""The feed of revoked sessions on a real Valkey: start, changes, outage, restart without data."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest_asyncio
from redis.asyncio import Redis
from structlog.testing import capture_logs

from services.chassis.revocations import (
    OVERLAP_MS,
    SET,
    VERSION,
    WHOLE_S,
    RevocationFeed,
    RevokedStore,
)
from services.kernel.clock import utc_now
from tests.rigs.stores import ValkeyStore, valkey_store

HOUR_MS = 3_600_000


class _Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now_s


@pytest_asyncio.fixture
async def auth(valkey: ValkeyStore) -> AsyncGenerator[Redis]:
    """Auth's own login, with an empty set of revoked sessions."""
    client = valkey.client("auth")
    await client.delete(SET, VERSION)
    yield client
    await client.delete(SET, VERSION)
    await client.aclose()


@pytest_asyncio.fixture
async def payments(valkey: ValkeyStore) -> AsyncGenerator[Redis]:
    """The login of a service, which may only read."""
    client = valkey.client("payments")
    yield client
    await client.aclose()


def _feed(client: Redis, clock: _Clock) -> RevocationFeed:
    return RevocationFeed(cast("RevokedStore", client), clock)


async def _revoke(auth: Redis, session: str, later_ms: float = HOUR_MS) -> None:
    await auth.zadd(SET, {session: utc_now().timestamp() * 1000 + later_ms})
    await auth.incr(VERSION)


async def test_a_service_knows_at_its_start_what_was_revoked_before(
    auth: Redis, payments: Redis
) -> None:
    await _revoke(auth, "before")
    await _revoke(auth, "expired", -1)
    feed = _feed(payments, _Clock())
    await feed.load()
    assert feed.revoked.is_revoked("before")
    assert not feed.revoked.is_revoked("expired")


async def test_a_change_is_read_with_the_next_poll(auth: Redis, payments: Redis) -> None:
    feed = _feed(payments, _Clock())
    await feed.load()
    await _revoke(auth, "newest", HOUR_MS)
    assert await feed.poll()
    assert feed.revoked.is_revoked("newest")
    # The clock of another host of auth is two minutes behind.
    await _revoke(auth, "by another host", HOUR_MS - OVERLAP_MS + 1_000)
    assert await feed.poll()
    assert feed.revoked.is_revoked("by another host")


async def test_the_whole_set_is_read_again_although_the_counter_stayed(
    auth: Redis, payments: Redis
) -> None:
    """A counter that Valkey lost and counted again may have the value that the service knows."""
    clock = _Clock()
    feed = _feed(payments, clock)
    await feed.load()
    await auth.zadd(SET, {"silent": utc_now().timestamp() * 1000 + HOUR_MS})
    assert await feed.poll()
    assert not feed.revoked.is_revoked("silent")
    clock.now_s += WHOLE_S
    assert await feed.poll()
    assert feed.revoked.is_revoked("silent")


async def test_an_outage_is_reported_once_and_then_each_minute_and_keeps_the_entries(
    tmp_path: Path,
) -> None:
    async with valkey_store(tmp_path / "lost") as store:
        auth, reader, clock = store.client("auth"), store.client("payments"), _Clock()
        try:
            await _revoke(auth, "known")
            feed = _feed(reader, clock)
            await feed.load()
            await store.runner.stop()
            reported = [await _reported(feed, clock, after_s) for after_s in (4, 1, 30, 30, 1)]
            lost = ["revocations.feed_lost"]
            assert reported == [[], lost, [], lost, []]
            assert feed.revoked.is_revoked("known")
            await store.runner.start()
            assert await store.runner.wait_ready()
            assert await _reported(feed, clock, 1) == ["revocations.feed_back"]
            assert await _reported(feed, clock, 1) == []
        finally:
            await auth.aclose()
            await reader.aclose()


async def test_a_service_starts_without_the_feed_and_reads_it_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with valkey_store(tmp_path / "absent") as store:
        auth, reader = store.client("auth"), store.client("payments")
        try:
            await _revoke(auth, "revoked")
            await store.runner.stop()
            feed = _feed(reader, _Clock())
            with capture_logs() as logs:
                await feed.load()
            assert [(each["event"], each["log_level"]) for each in logs] == [
                ("revocations.feed_absent", "error")
            ]
            assert not feed.revoked.is_revoked("revoked")
            await store.runner.start()
            assert await store.runner.wait_ready()
            assert await feed.poll()
            assert feed.revoked.is_revoked("revoked")
        finally:
            await auth.aclose()
            await reader.aclose()


async def _reported(feed: RevocationFeed, clock: _Clock, after_s: float) -> list[Any]:
    """Poll after some seconds; return the events that were logged."""
    clock.now_s += after_s
    with capture_logs() as logs:
        await feed.poll()
    return [each["event"] for each in logs]
