"""A service with two instances loses no call when the process behind one sidecar stops or dies."""

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import grpc.aio
import pytest
from bp.customers.v1 import customers_service_pb2 as customers
from bp.customers.v1 import customers_service_pb2_grpc as customers_grpc

from mesh import ctl
from mesh.controlplane.translate.unanswered import HEADER, NOT_RECEIVED
from ops.waiting import scaled_s, until
from tests.rigs.mesh.proxies import Rig, free_port
from tests.rigs.mesh.upstream import Customers, Seen, serve

CALLS = 40
AT_ONCE, STOPS, GRACE_S = 16, 3, 5
SECOND = "customers-1"
NOT_EXECUTED = "connect-failure,refused-stream"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS = b"\x01"
"""The type of the frame with which a request begins."""


class Forging(Customers):
    """Fails each call and claims that it never got it."""

    async def CheckDebit(self, request: Any, context: Any) -> Any:
        self.seen.note(request, context)
        await context.send_initial_metadata(((HEADER, NOT_RECEIVED),))
        await context.abort(grpc.StatusCode.UNAVAILABLE, "forged")


@asynccontextmanager
async def two_instances(seen: Seen, retry_on: str = "") -> AsyncGenerator[Rig]:
    """Two instances of customers, and payments, which calls them. The second has no service."""
    rig = Rig()
    config = rig.home / "config"
    shutil.copytree(ctl.CONFIG, config)
    path = config / "services" / "customers.yaml"
    text = path.read_text()
    if retry_on:
        path.write_text(re.sub('retryOn: "[^"]+"', f'retryOn: "{retry_on}"', text))
    services: Any = rig.places["services"]
    place, run = services["customers"], rig.home / "run" / SECOND
    run.mkdir()
    second = {
        "address": f"127.0.0.1:{free_port()}",
        "number": 1,
        "app_sockets": [str(rig.socket_in(SECOND))],
        "outbound_socket": str(rig.socket_out(SECOND)),
        "admin_socket": str(rig.admin_socket(SECOND)),
    }
    place["instances"] = [{"address": place.pop("mtls")}, second]
    server = await serve(rig.socket_in("customers"), Customers(seen))
    try:
        rig.render(config)
        await rig.start(["payments", "customers", SECOND])
        yield rig
    finally:
        await rig.close()
        await server.stop(None)


@asynccontextmanager
async def breaking_off(rig: Rig, at: int = 1) -> AsyncGenerator[list[int]]:
    """Behind the second sidecar, a process that dies at each request; yields their count.

    With `at`, the first connection breaks only with so many requests.
    """
    broken: list[int] = []

    async def died(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readexactly(len(PREFACE))
            requests, wanted = 0, 1 if broken else at
            while requests < wanted:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3]))
                requests += head[3:4] == HEADERS
            broken.extend(range(requests))
        writer.close()

    async with await asyncio.start_unix_server(died, rig.socket_in(SECOND)):
        yield broken


async def codes(rig: Rig, calls: int = CALLS) -> list[grpc.StatusCode]:
    """Call customers from payments, one call after the other; return how each ended."""
    options = [("grpc.default_authority", "customers"), ("grpc.enable_retries", 0)]
    async with grpc.aio.insecure_channel(f"unix:{rig.socket_out('payments')}", options) as channel:
        stub: Any = customers_grpc.CustomersServiceStub(channel)
        return [await _code(stub) for _ in range(calls)]


async def _code(stub: Any) -> grpc.StatusCode:
    call = stub.CheckDebit(customers.CheckDebitRequest(), timeout=scaled_s(20))
    code = await call.code()
    headers = {*await call.initial_metadata(), *await call.trailing_metadata()}
    assert HEADER not in {key for key, _ in headers}
    return code


@pytest.mark.timeout(180)
async def test_calls_that_no_service_received_go_to_the_other_instance() -> None:
    """Regression: a sidecar without its service answered half of the calls with UNAVAILABLE."""
    seen = Seen()
    for retry_on in ("", NOT_EXECUTED):
        seen.calls = 0
        async with two_instances(seen, retry_on) as rig:
            assert set(await codes(rig)) == {grpc.StatusCode.OK}
            assert seen.calls == CALLS
            missed = await rig.stats(SECOND, "cluster.app.upstream_cx_connect_fail")
            assert sum(missed.values()) > 0


@pytest.mark.timeout(180)
async def test_a_call_that_broke_off_is_repeated_only_where_reset_is_configured() -> None:
    """It may have been executed, which the contracts of customers allow."""
    seen = Seen()
    async with two_instances(seen) as rig, breaking_off(rig) as broken:
        assert set(await codes(rig)) == {grpc.StatusCode.OK}
        assert broken
        assert seen.calls == CALLS
    async with two_instances(seen, NOT_EXECUTED) as rig, breaking_off(rig) as broken:
        seen.calls = 0
        found = await codes(rig)
        assert found.count(grpc.StatusCode.UNAVAILABLE) == len(broken) > 0
        assert found.count(grpc.StatusCode.OK) == seen.calls == CALLS - len(broken)


@pytest.mark.timeout(180)
async def test_all_calls_of_a_process_that_dies_under_load_go_to_the_other_instance() -> None:
    """Regression: no more than 64 of them were repeated at the same time."""
    seen, at = Seen(), 150
    async with two_instances(seen) as rig, breaking_off(rig, at) as broken:
        options = [("grpc.default_authority", "customers"), ("grpc.enable_retries", 0)]
        path = f"unix:{rig.socket_out('payments')}"
        async with grpc.aio.insecure_channel(path, options) as channel:
            stub: Any = customers_grpc.CustomersServiceStub(channel)
            found = await asyncio.gather(*(_code(stub) for _ in range(2 * at + CALLS)))
        overflowing = await rig.stats("payments", "upstream_rq_retry_overflow")
    assert len(broken) >= at
    assert sum(overflowing.values()) == 0
    assert set(found) == {grpc.StatusCode.OK}


@pytest.mark.timeout(180)
async def test_a_service_cannot_claim_that_it_did_not_get_a_call() -> None:
    """Its sidecar removes the header, so such a call is not repeated."""
    seen, forged = Seen(), Seen()
    async with two_instances(seen) as rig:
        server = await serve(rig.socket_in(SECOND), Forging(forged))
        try:
            found = await codes(rig)
        finally:
            await server.stop(None)
    assert forged.calls > 0
    assert found.count(grpc.StatusCode.UNAVAILABLE) == forged.calls
    assert seen.calls == CALLS - forged.calls


@pytest.mark.timeout(180)
async def test_calls_that_a_stopping_process_cancels_go_to_the_other_instance() -> None:
    """Regression: gRPC cancels the calls that a stopping server has received and not begun, and
    their callers got UNAVAILABLE."""
    seen, stopping = Seen(), Seen()
    async with two_instances(seen) as rig, calling(rig) as found:
        for _ in range(STOPS):
            server = await serve(rig.socket_in(SECOND), Customers(stopping))
            reached = partial(_has_calls, stopping, stopping.calls + AT_ONCE)
            await until(reached, what="the second instance gets calls")
            await server.stop(GRACE_S)
    assert set(found) == {grpc.StatusCode.OK}


@asynccontextmanager
async def calling(rig: Rig) -> AsyncGenerator[list[grpc.StatusCode]]:
    """Call customers from payments all the time; yields how the calls ended."""
    found: list[grpc.StatusCode] = []
    done = asyncio.Event()

    async def caller() -> None:
        while not done.is_set():
            found.extend(await codes(rig, 1))

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(caller())
        yield found
        done.set()


async def _has_calls(seen: Seen, calls: int) -> bool:
    return seen.calls >= calls
