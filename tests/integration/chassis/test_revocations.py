"""The feed of revoked sessions on a real Valkey: start, changes, outage, restart without data."""

import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import grpc.aio
import pytest
import pytest_asyncio
from bp.customers.v1 import customers_service_pb2
from redis.asyncio import Redis
from structlog.testing import capture_logs

from services.chassis.grpc_server import Server
from services.chassis.revocations import (
    KEPT_S,
    RECHECK_S,
    SET,
    VERSION,
    RevocationFeed,
    RevokedStore,
)
from services.chassis.settings import ServiceSettings
from tests.rigs.sidecar_calls import SESSION, from_customer, open_channel, raw_call
from tests.rigs.stores import ValkeyStore, valkey_store

GET_ME = "/bp.customers.v1.CustomersService/GetMe"


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


async def _revoke(auth: Redis, session: str) -> None:
    await auth.zadd(SET, {session: await auth.incr(VERSION)})


class _Customers:
    """Answers each call of a customer."""

    def __getattr__(self, _name: str) -> Any:
        """Return the handler of any method."""

        async def handler(
            _request: object, _context: object
        ) -> customers_service_pb2.GetMeResponse:
            return customers_service_pb2.GetMeResponse()

        return handler


async def test_a_server_checks_the_set_that_the_feed_fills_after_the_start(
    auth: Redis, payments: Redis, tmp_path: Path
) -> None:
    """An empty set is false in Python, and a server replaced it by another one."""
    feed = _feed(payments, _Clock())
    await feed.load()
    settings = ServiceSettings(
        service="customers",
        home=tmp_path,
        socket_in=tmp_path / "in.sock",
        openbao_addr="unused",
        service_account_token_file=tmp_path / "unused",
    )
    service = customers_service_pb2.DESCRIPTOR.services_by_name["CustomersService"]
    server = Server(settings, {service: _Customers()}, feed.revoked)
    await server.start()
    request, caller = customers_service_pb2.GetMeRequest(), from_customer(uuid.uuid4())
    try:
        async with open_channel(str(settings.socket_in)) as channel:
            assert await raw_call(channel, GET_ME, request, caller) == b""
            await _revoke(auth, SESSION)
            await feed.poll()
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await raw_call(channel, GET_ME, request, caller)
    finally:
        await server.drain()
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_service_knows_at_its_start_what_was_revoked_before(
    auth: Redis, payments: Redis
) -> None:
    await _revoke(auth, "before")
    feed = _feed(payments, _Clock())
    await feed.load()
    assert feed.revoked.is_revoked("before")
    assert not feed.revoked.is_revoked("another")


async def test_an_entry_is_kept_as_long_as_a_token_may_be_valid(
    auth: Redis, payments: Redis
) -> None:
    clock = _Clock()
    feed = _feed(payments, clock)
    await _revoke(auth, "ended")
    await feed.load()
    await auth.delete(SET)
    clock.now_s += KEPT_S - 1
    assert await feed.poll()
    assert feed.revoked.is_revoked("ended")
    clock.now_s += 1
    assert await feed.poll()
    assert not feed.revoked.is_revoked("ended")


async def test_a_change_is_read_with_the_next_poll(auth: Redis, payments: Redis) -> None:
    feed = _feed(payments, _Clock())
    await feed.load()
    for session in ("first", "second"):
        await _revoke(auth, session)
        assert await feed.poll()
        assert feed.revoked.is_revoked(session)


async def test_the_whole_set_is_read_again_although_the_last_position_stayed(
    auth: Redis, payments: Redis
) -> None:
    """A position that Valkey lost and gave again may be one that the service has read."""
    clock = _Clock()
    feed = _feed(payments, clock)
    await feed.load()
    await auth.zadd(SET, {"silent": 1})
    assert await feed.poll()
    assert not feed.revoked.is_revoked("silent")
    clock.now_s += RECHECK_S
    assert await feed.poll()
    assert feed.revoked.is_revoked("silent")


async def test_entries_are_read_once_after_a_change_and_once_in_each_round(
    auth: Redis, payments: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round follows the one before after RECHECK_S."""
    pages: list[str] = []
    read: Any = payments.zrangebyscore

    async def counted(name: str, first: str, *rest: Any) -> Any:
        pages.append(first)
        return await read(name, first, *rest)

    monkeypatch.setattr(payments, "zrangebyscore", counted)
    clock = _Clock()
    feed = _feed(payments, clock)
    await _revoke(auth, "ended")
    read_by_poll: list[int] = []
    for wait_s in (0, 1, 1, RECHECK_S, 1, 1):
        clock.now_s += wait_s
        before = len(pages)
        assert await feed.poll()
        read_by_poll.append(len(pages) - before)
    assert read_by_poll == [1, 0, 0, 1, 0, 0]


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
