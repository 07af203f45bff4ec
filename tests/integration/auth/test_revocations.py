"""The set of revoked sessions, as the boundaries of other services read it."""

import time
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest_asyncio
from redis.asyncio import Redis
from structlog.testing import capture_logs

from services.auth import revocations_out
from services.auth.revocations_out import MATTERS
from tests.integration.auth.logins import Logins, opened
from tests.rigs.stores import ValkeyStore

SET, VERSION = "revoked", "revoked:version"
US = 1_000_000
MATTERS_US = MATTERS.total_seconds() * US


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
    found: Any = await reader.zrangebyscore(SET, "-inf", "+inf")
    return set(found)


def ids(count: int) -> list[uuid.UUID]:
    """Return new session ids."""
    return [uuid.uuid4() for _ in range(count)]


def members(session_ids: list[uuid.UUID]) -> set[bytes]:
    """Return the members of session ids."""
    return {str(session_id).encode() for session_id in session_ids}


async def test_revoked_sessions_are_read_by_another_service(logins: Logins, reader: Redis) -> None:
    """Each has a position of its own, which is its time by Valkey's clock."""
    revoked = ids(3)
    seconds, microseconds = await logins.client.time()
    await logins.revocations.revoke(revoked)
    found: Any = await reader.zrangebyscore(SET, "-inf", "+inf", withscores=True)
    assert {member for member, _ in found} == members(revoked)
    positions = [position for _, position in found]
    assert positions == [positions[0], positions[0] + 1, positions[0] + 2]
    assert positions[0] >= seconds * US + microseconds
    assert float(await reader.get(VERSION) or 0) == positions[-1]


async def test_positions_grow_although_the_clock_was_set_back(
    logins: Logins, reader: Redis
) -> None:
    """As if the clock had been an hour ahead when the last position was given."""
    ahead = int((time.time() + 3600) * US)
    await logins.client.set(VERSION, ahead)
    (revoked,), (lost,) = ids(1), ids(1)
    await logins.revocations.revoke([revoked])
    await logins.revocations.reconcile([lost])
    assert await logins.client.zscore(SET, str(revoked)) == ahead + 1
    assert await logins.client.zscore(SET, str(lost)) == ahead + 2
    assert float(await reader.get(VERSION) or 0) == ahead + 2


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
        await logins.client.zadd(SET, {member: time.time() * US - MATTERS_US - 1})
    await logins.revocations.revoke(new)
    assert await logins.client.zrange(SET, 0, -1) == [*members(new)]


async def test_a_set_that_is_full_of_old_entries_gets_what_it_lost(
    logins: Logins, monkeypatch
) -> None:
    """No other session has to end before that."""
    monkeypatch.setattr(revocations_out, "ENTRIES_MAX", 3)
    oldest = time.time() * US - MATTERS_US - 9
    await logins.client.zadd(SET, dict.fromkeys(members(ids(3)), oldest))
    lost = ids(4)
    with capture_logs() as logs:
        assert await logins.revocations.reconcile(lost) == lost[:3]
    (full,) = [line for line in logs if line["event"] == "revocations.full"]
    assert (full["log_level"], full["not_restored"]) == ("error", 1)


async def test_the_set_never_grows_beyond_its_limit(
    logins: Logins, reader: Redis, monkeypatch
) -> None:
    """Those that matter for the shortest time make room; reconciling does not add them again."""
    monkeypatch.setattr(revocations_out, "ENTRIES_MAX", 10)
    first, last = ids(7), ids(8)
    await logins.revocations.revoke(first)
    await logins.revocations.revoke(last)
    found = await read(reader)
    assert len(found) == 10
    assert found == members(first[-2:] + last)
    assert await logins.revocations.missing(first) == first[:-2]
    assert await logins.revocations.reconcile(first) == []
    assert len(await read(reader)) == 10


async def test_many_sessions_are_revoked_in_batches(
    logins: Logins, reader: Redis, monkeypatch
) -> None:
    """Seven sessions, two at a time."""
    monkeypatch.setattr(revocations_out, "BATCH_MAX", 2)
    revoked, lost = ids(7), ids(7)
    await logins.revocations.revoke(revoked)
    assert await logins.revocations.missing(revoked + lost) == lost
    assert await logins.revocations.reconcile(lost) == lost
    assert await read(reader) == members(revoked) | members(lost)


async def test_what_valkey_lost_is_added_and_returned_once(logins: Logins, reader: Redis) -> None:
    """The database is right; entries that are there keep their position."""
    kept, lost = ids(2), ids(2)
    await logins.revocations.revoke(kept)
    version = await reader.get(VERSION)
    assert await logins.revocations.reconcile(kept + lost) == lost
    assert await read(reader) == members(kept + lost)
    restored = await reader.get(VERSION)
    assert restored != version
    assert await logins.revocations.reconcile(kept + lost) == []
    assert await reader.get(VERSION) == restored


async def test_nothing_is_missing_in_a_full_set(logins: Logins) -> None:
    """With as many entries as the set may have: each answer of Valkey is short."""
    revoked = ids(revocations_out.ENTRIES_MAX)
    await logins.revocations.revoke(revoked)
    assert await logins.revocations.missing(revoked) == []
    await logins.client.zrem(SET, str(revoked[0]), str(revoked[-1]))
    assert await logins.revocations.missing(revoked) == [revoked[0], revoked[-1]]
