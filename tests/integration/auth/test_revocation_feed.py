"""Auth writes the set of revoked sessions, and another service reads it: both on a real Valkey."""

import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ops.provision import valkey as users
from services.auth.revocations_out import ENTRIES_MAX
from services.chassis.revocations import PAGE_MAX, RevocationFeed, RevokedStore
from services.chassis.settings import ServiceSettings
from services.chassis.valkey import open_valkey
from tests.integration.auth.logins import Logins, opened
from tests.rigs.stores import ValkeyStore, valkey_store

SET, VERSION = "revoked", "revoked:version"
HOUR_US = 3600 * 1_000_000


@pytest_asyncio.fixture
async def logins(valkey: ValkeyStore) -> AsyncGenerator[Logins]:
    """Auth's adapters, and an empty set."""
    async with opened(valkey) as logins:
        await logins.client.delete(SET, VERSION)
        yield logins
        await logins.client.delete(SET, VERSION)


@pytest_asyncio.fixture
async def feed(valkey: ValkeyStore) -> AsyncGenerator[RevocationFeed]:
    """The feed of another service, whose client has the timeouts of a running service."""
    client = _client(valkey)
    yield RevocationFeed(cast("RevokedStore", client))
    await client.aclose()


def _client(store: ValkeyStore) -> Redis:
    """Return the client of payments with the product's timeouts."""
    settings = ServiceSettings(
        service="payments",
        home=store.part.home.root,
        socket_in=Path("unused"),
        openbao_addr="unused",
        service_account_token_file=Path("unused"),
        valkey_socket=store.part.socket,
    )
    return open_valkey(settings, users.login(store.credentials, "payments"))


def _ids(count: int) -> list[uuid.UUID]:
    return [uuid.uuid4() for _ in range(count)]


def _unknown(feed: RevocationFeed, session_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Return the sessions whose calls the service would accept."""
    return [each for each in session_ids if not feed.revoked.is_revoked(str(each))]


async def test_a_full_set_is_read_within_the_timeouts_of_the_client(
    logins: Logins, feed: RevocationFeed
) -> None:
    ended = _ids(ENTRIES_MAX)
    await logins.revocations.revoke(ended)
    assert await feed.poll()
    assert _unknown(feed, ended) == []
    (last,) = _ids(1)
    await logins.revocations.revoke([last])
    assert await feed.poll()
    assert _unknown(feed, [last]) == []


@dataclass
class _StopsAfterAPage:
    """A client of a real Valkey, which stops after the first page."""

    client: Redis
    store: ValkeyStore
    first_positions: list[str] = field(default_factory=list[str])

    async def get(self, name: str, /) -> bytes | None:
        """Read as the feed does."""
        return await cast("RevokedStore", self.client).get(name)

    async def zrangebyscore(
        self, name: str, min: str, max: str, start: int, num: int, withscores: bool, /
    ) -> Sequence[tuple[bytes, float]]:
        """Read a page, and stop the server after the first one."""
        read = cast("RevokedStore", self.client)
        found = await read.zrangebyscore(name, min, max, start, num, withscores)
        self.first_positions.append(min)
        if len(self.first_positions) == 1:
            await self.store.runner.stop()
        return found


async def test_an_interrupted_read_continues_where_it_stopped(tmp_path: Path) -> None:
    async with valkey_store(tmp_path / "interrupted") as store, opened(store) as logins:
        ended = _ids(3 * PAGE_MAX)
        await logins.revocations.revoke(ended)
        client = store.client("payments")
        stopping = _StopsAfterAPage(client, store)
        feed = RevocationFeed(stopping)
        try:
            assert not await feed.poll()
            assert _unknown(feed, ended) == ended[PAGE_MAX:]
            await store.runner.start()
            assert await store.runner.wait_ready()
            assert await feed.poll()
            assert _unknown(feed, ended) == []
            # No page was read twice.
            assert len(set(stopping.first_positions)) == len(stopping.first_positions) == 3
        finally:
            await client.aclose()


async def test_a_restored_revocation_is_read_with_the_next_poll(
    logins: Logins, feed: RevocationFeed
) -> None:
    """Its session ended minutes ago, when Valkey was away from auth; another ended meanwhile."""
    (lost,), (other,) = _ids(1), _ids(1)
    await logins.revocations.revoke([other])
    assert await feed.poll()
    assert await logins.revocations.reconcile([lost]) == [lost]
    assert await feed.poll()
    assert _unknown(feed, [lost, other]) == []


@pytest.mark.parametrize("loses_data", [False, True], ids=["keeps its data", "loses its data"])
async def test_a_revocation_after_valkeys_clock_was_set_back_is_read(
    logins: Logins, feed: RevocationFeed, loses_data: bool
) -> None:
    """The position that the service knows is ahead of the clock; without data, of all others."""
    (before,), (after,) = _ids(1), _ids(1)
    await logins.revocations.revoke([before])
    position = await logins.client.zincrby(SET, HOUR_US, str(before))
    await logins.client.set(VERSION, f"{position:.0f}")
    assert await feed.poll()
    if loses_data:
        await logins.client.delete(SET, VERSION)
    await logins.revocations.revoke([after])
    assert await feed.poll()
    assert _unknown(feed, [before, after]) == []
