"""The memory that the bodies of calls without a token can take at the gateway is limited.

The gateway holds a body until all of it has arrived. So a caller who opens many calls and sends
their bodies slowly takes memory for each of them.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from ops.waiting import scaled_s, until
from tests.contract.gateway.http2 import connected, head, request
from tests.rigs.mesh.gateway import Gateway, open_gateway
from tests.rigs.mesh.proxies import Rig
from tests.rigs.mesh.tls import client_context

BIOMETRIC = "/v1/auth/biometric"
BODY = b'{"sessionId":"s","biometricData":{"face":{"picture":"%s"}}}'
LARGE = BODY % (b"QUJD" * 250_000)
SMALL = BODY % b"QUJD"
CALLS = 40
"""Twice the burst of the bucket of an address."""
ANSWER_S = 20.0
HEAP = 1024 * 1024 * 1024
"""The largest heap in gateway.yaml, in bytes."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _head(*fields: str) -> bytes:
    lines = (f"POST {BIOMETRIC} HTTP/1.1", "host: localhost", "content-type: application/json")
    return "\r\n".join((*lines, *fields, "", "")).encode()


DECLARED = _head(f"content-length: {len(LARGE)}")
CHUNKED = _head("transfer-encoding: chunked") + b"400\r\n" + LARGE[:1024] + b"\r\n"


@pytest.fixture(scope="module")
async def gateway() -> AsyncGenerator[Gateway]:
    """A gateway of its own, because these tests empty buckets that all addresses share."""
    async with open_gateway() as opened:
        yield opened


@asynccontextmanager
async def _connection(gateway: Gateway, address: str) -> AsyncGenerator[Streams]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", gateway.rig.gateway_port, ssl=gateway.trusting(), local_addr=(address, 0)
    )
    try:
        yield reader, writer
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read the head of an answer and, by its length, its body."""
    async with asyncio.timeout(scaled_s(ANSWER_S)):
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        body = await reader.readexactly(int(fields.get("content-length", "0")))
    return int(lines[0].split()[1]), body


async def _post(gateway: Gateway, address: str, body: bytes) -> int:
    async with _connection(gateway, address) as (reader, writer):
        writer.write(_head(f"content-length: {len(body)}") + body)
        return (await _answer(reader))[0]


async def _first(*readers: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    """Return the first answers; a call whose body does not arrive has none."""
    tasks = [asyncio.create_task(_answer(reader)) for reader in readers]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return [task.result() for task in done]


@pytest.mark.parametrize(
    ("start", "address"),
    [
        pytest.param(DECLARED, "127.0.3.1", id="declared"),
        pytest.param(CHUNKED, "127.0.3.2", id="chunked"),
    ],
)
async def test_an_address_cannot_fill_the_memory_with_slow_bodies(
    gateway: Gateway, start: bytes, address: str
) -> None:
    """Further bodies are refused before they arrive. Small bodies and others are served."""
    async with AsyncExitStack() as opened:
        slow = [
            await opened.enter_async_context(_connection(gateway, address)) for _ in range(CALLS)
        ]
        for _, writer in slow:
            writer.write(start)
        for status, body in await _first(*(reader for reader, _ in slow)):
            assert status == 429
            assert b'"reason":"RATE_LIMITED"' in body
        assert await _post(gateway, address, SMALL) == 200
        assert await _post(gateway, "127.0.3.9", LARGE) == 200


async def test_an_address_cannot_fill_it_with_the_streams_of_one_connection(
    gateway: Gateway,
) -> None:
    fields = head(gateway, "POST", BIOMETRIC, "content-type", "application/json")
    streams = range(1, 2 * CALLS, 2)
    async with connected(gateway, None, "127.0.3.3") as connection:
        # Streams without a length; each ends at once, but takes a token.
        connection.writer.write(b"".join(request(stream, fields) for stream in streams))
        found = await connection.answers(streams)
    assert {answer.status for answer in found} == {200, 429}


async def test_all_addresses_together_have_a_limit(gateway: Gateway) -> None:
    """The sum of the buckets of eight addresses is more than the bucket for all."""
    async with AsyncExitStack() as opened:
        slow = [
            await opened.enter_async_context(_connection(gateway, f"127.0.4.{number % 8 + 1}"))
            for number in range(8 * 15)
        ]
        for _, writer in slow:
            writer.write(DECLARED)
        refused = await _first(*(reader for reader, _ in slow))
        assert {status for status, _ in refused} == {429}
        assert await _post(gateway, "127.0.4.1", SMALL) == 200


async def test_a_gateway_without_memory_refuses_in_json() -> None:
    """An idle proxy has allocated more than 4 MiB, so it refuses every request."""
    rig = Rig()
    try:
        path = rig.home / "envoy" / "gateway" / "bootstrap.json"
        path.write_text(path.read_text().replace(f'"{HEAP}"', '"4194304"'))
        await rig.start(["gateway"])
        await until(lambda: _is_overloaded(rig), what="the proxy has found that its memory is full")
        context = client_context(rig.mesh_ca.pem)
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.gateway_port, ssl=context)
        writer.write(b"GET /unknown HTTP/1.1\r\nhost: localhost\r\n\r\n")
        status, body = await _answer(reader)
        writer.close()
        assert status == 503
        assert b'"reason":"DEPENDENCY_UNAVAILABLE"' in body
    finally:
        await rig.close()


async def _is_overloaded(rig: Rig) -> bool:
    name = "overload.envoy.overload_actions.stop_accepting_requests.active"
    return (await rig.stats("gateway", name)).get(name) == 1
