"""The set of revoked sessions, as the boundaries of other services read it."""

import time
import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest_asyncio
from redis.asyncio import Redis

from services.auth import revocations_out
from services.auth.revocations_out import MATTERS
from services.kernel.clock import utc_now
from tests.integration.auth.logins import Logins, expire, opened
from tests.rigs.stores import ValkeyStore

SET, VERSION = "revoked", "revoked:version"
MATTERS_MS = MATTERS.total_seconds() * 1000


@pytest_asyncio.fixture
async def logins(valkey: ValkeyStore) -> AsyncGenerator[Logins]:
    """Auth's adapters, and an empty set."""
    async with opened(valkey) as logins:
        await logins.client.delete(SET, VERSION)
        yield logins


@pytest_asyncio.fixture
async def reader(valkey: ValkeyStore) -> AsyncGenerator[Redis]:
    """The client of another service."""
    client = valkey.client("payments")
    yield client
    await client.aclose()


async def read(reader: Redis) -> set[bytes]:
    """Return what a boundary reads."""
    found: Any = await reader.zrangebyscore(SET, time.time() * 1000, "+inf")
    return set(found)


def ids(count: int) -> list[uuid.UUID]:
    """Return new session ids."""
    return [uuid.uuid4() for _ in range(count)]


def members(session_ids: list[uuid.UUID]) -> set[bytes]:
    """Return the members of session ids."""
    return {str(session_id).encode() for session_id in session_ids}


async def test_revoked_sessions_are_read_by_another_service(logins: Logins, reader: Redis) -> None:
    """Each matters for twelve minutes by Valkey's clock."""
    revoked = ids(3)
    seconds, _ = await logins.client.time()
    await logins.revocations.revoke(revoked)
    assert await read(reader) == members(revoked)
    for member in members(revoked):
        score = await logins.client.zscore(SET, member)
        assert score is not None
        assert float(score) >= seconds * 1000 + MATTERS_MS


async def test_each_change_gives_a_version_that_was_never_there(
    logins: Logins, reader: Redis
) -> None:
    """Also after a crash that lost the version: a reader compares it for equality."""
    versions = []
    for loses in (False, False, True, False, True):
        await logins.revocations.revoke(ids(1))
        versions.append(await reader.get(VERSION))
        if loses:
            await logins.client.delete(SET, VERSION)
    assert len(set(versions)) == len(versions)


async def test_revoking_nothing_changes_nothing(logins: Logins, reader: Redis) -> None:
    """Readers need not read again."""
    await logins.revocations.revoke([])
    assert await logins.revocations.reconcile([]) == []
    assert await reader.get(VERSION) is None


async def test_entries_that_no_longer_matter_are_removed(logins: Logins, reader: Redis) -> None:
    """Their access tokens have expired."""
    old, new = ids(5), ids(1)
    await logins.revocations.revoke(old)
    for member in members(old):
        await logins.client.zadd(SET, {member: time.time() * 1000 - 1})
    await logins.revocations.revoke(new)
    assert await logins.client.zrange(SET, 0, -1) == [*members(new)]


async def test_the_set_never_grows_beyond_its_limit(
    logins: Logins, reader: Redis, monkeypatch
) -> None:
    """Those that matter for the shortest time make room; reconciling does not add them again."""
    monkeypatch.setattr(revocations_out, "ENTRIES_MAX", 10)
    first, last = ids(7), ids(8)
    await logins.revocations.revoke(first)
    for number, member in enumerate(members(first)):
        await logins.client.zadd(SET, {member: time.time() * 1000 + 60_000 + number})
    await logins.revocations.revoke(last)
    found = await read(reader)
    assert len(found) == 10
    assert found >= members(last)
    now = utc_now()
    assert await logins.revocations.reconcile((one, now) for one in first) == []
    assert len(await read(reader)) == 10


async def test_many_sessions_are_revoked_in_batches(
    logins: Logins, reader: Redis, monkeypatch
) -> None:
    """Seven sessions, two at a time."""
    monkeypatch.setattr(revocations_out, "BATCH_MAX", 2)
    revoked, lost = ids(7), ids(7)
    await logins.revocations.revoke(revoked)
    now = utc_now()
    assert set(await logins.revocations.reconcile((one, now) for one in lost)) == set(lost)
    assert await read(reader) == members(revoked) | members(lost)


async def test_what_valkey_lost_is_added_and_returned_once(logins: Logins, reader: Redis) -> None:
    """The database is right; entries that are there keep their time."""
    kept, lost = ids(2), ids(2)
    await logins.revocations.revoke(kept)
    version = await reader.get(VERSION)
    now = utc_now()
    ended = [(one, now - timedelta(minutes=1)) for one in (*kept, *lost)]
    assert await logins.revocations.reconcile(ended) == lost
    assert await read(reader) == members(kept + lost)
    restored = await reader.get(VERSION)
    assert restored != version
    assert await logins.revocations.reconcile(ended) == []
    assert await reader.get(VERSION) == restored


async def test_sessions_that_ended_long_ago_are_not_added(logins: Logins, reader: Redis) -> None:
    """Twelve minutes after its end a session has no valid access token."""
    now = utc_now()
    (old,), (recent,) = ids(1), ids(1)
    ended = [(old, now - MATTERS - timedelta(minutes=1)), (recent, now - timedelta(minutes=11))]
    assert await logins.revocations.reconcile(ended) == [recent]
    assert await read(reader) == members([recent])


async def test_an_empty_valkey_gets_all_recent_ends(logins: Logins, reader: Redis) -> None:
    """As after a lost disk."""
    revoked = ids(20)
    await logins.revocations.revoke(revoked)
    await expire(logins.client, SET, VERSION)
    now = utc_now()
    assert await logins.revocations.reconcile((one, now) for one in revoked) == revoked
    assert await read(reader) == members(revoked)
