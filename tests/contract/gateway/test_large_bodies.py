"""The memory that calls without a token can take at the gateway is limited.

The gateway holds a call until all of its body has arrived. So a caller that opens many calls and
sends their bodies slowly takes memory for each of them.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from ops.waiting import scaled_s, until
from tests.contract.gateway.http2 import (
    END_HEADERS,
    HEADERS,
    block,
    connected,
    frame,
    head,
    request,
)
from tests.contract.gateway.small_pools import LOGINS, PICTURES
from tests.rigs.mesh.gateway import Gateway
from tests.rigs.mesh.proxies import Rig

BIOMETRIC, LOGIN = "/v1/auth/biometric", "/v1/auth/login"
BODY = b'{"sessionId":"s","biometricData":{"face":{"picture":"%s"}}}'
LARGE = BODY % (b"QUJD" * 250_000)
SMALL = BODY % b"QUJD"
LARGE_CALLS = 40
"""Twice the burst of the bucket of large bodies."""
SMALL_CALLS = 2 * LOGINS
EMPTY_CALLS = 300
"""More than the bucket of large bodies of all addresses holds."""
ANSWER_S = 20.0
HEAP = 1024 * 1024 * 1024
"""The largest heap in gateway.yaml, in bytes."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _head(*fields: str, path: str = BIOMETRIC) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json")
    return "\r\n".join((*lines, *fields, "", "")).encode()


DECLARED = _head(f"content-length: {len(LARGE)}")
WITHOUT_LENGTH = "transfer-encoding: chunked"
SLOW_LOGIN = _head("content-length: 8192", path=LOGIN)
SLOW_CHUNKED_LOGIN = _head(WITHOUT_LENGTH, path=LOGIN) + b"1\r\n{\r\n"
RESTS = {DECLARED: LARGE, SLOW_LOGIN: b" " * 8192, SLOW_CHUNKED_LOGIN: b"0\r\n\r\n"}
"""What completes each slow call. A call that its caller breaks off keeps its memory."""


async def _require_no_lua_error(rig: Rig) -> None:
    """Fail on an error of the Lua code, which lets the request pass."""
    assert set((await rig.stats("gateway", "lua.errors")).values()) == {0}


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


async def _post(gateway: Gateway, address: str, body: bytes, path: str = BIOMETRIC) -> int:
    async with _connection(gateway, address) as (reader, writer):
        writer.write(_head(f"content-length: {len(body)}", path=path) + body)
        return (await _answer(reader))[0]


@asynccontextmanager
async def _slow(
    gateway: Gateway, addresses: Sequence[str], start: bytes
) -> AsyncGenerator[list[tuple[int, bytes]]]:
    """Begin a call from each address, keep them all open, and give the first answers.

    At the end, complete the calls, so that they give their memory back.
    """
    async with AsyncExitStack() as opened:
        slow = [await opened.enter_async_context(_connection(gateway, each)) for each in addresses]
        for _, writer in slow:
            writer.write(start)
        answers = [asyncio.create_task(_answer(reader)) for reader, _ in slow]
        done, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        yield [each.result() for each in done]
        for answer, (_, writer) in zip(answers, slow, strict=True):
            if not answer.done():
                writer.write(RESTS[start])
        await asyncio.gather(*answers)


def _require_limited(answers: Sequence[tuple[int, bytes]]) -> None:
    assert answers
    for status, body in answers:
        assert status == 429
        assert b'"reason":"RATE_LIMITED"' in body.replace(b": ", b":")


async def test_an_address_cannot_fill_the_memory_with_slow_bodies(gateway: Gateway) -> None:
    """Further pictures are refused before they arrive. Small bodies and others are served."""
    async with _slow(gateway, ["127.0.3.1"] * (PICTURES + 1), DECLARED) as answers:
        _require_limited(answers)
        assert await _post(gateway, "127.0.3.1", b"{}", LOGIN) == 200
        assert await _post(gateway, "127.0.3.9", LARGE) == 200


@pytest.mark.parametrize(
    ("start", "address"),
    [
        pytest.param(SLOW_LOGIN, "127.0.5.1", id="declared"),
        pytest.param(SLOW_CHUNKED_LOGIN, "127.0.5.2", id="chunked"),
    ],
)
async def test_an_address_cannot_fill_the_memory_with_small_slow_bodies(
    gateway: Gateway, start: bytes, address: str
) -> None:
    """The bucket LOGIN allows so many; the memory of an address does not. Others are served."""
    async with _slow(gateway, [address] * SMALL_CALLS, start) as answers:
        _require_limited(answers)
        assert await _post(gateway, "127.0.5.9", SMALL) == 200


async def test_an_address_cannot_fill_it_with_the_streams_of_one_connection(
    gateway: Gateway,
) -> None:
    more = ("content-type", "application/json", "content-length", "8192")
    begun = block(head(gateway, "POST", LOGIN, *more))
    streams = range(1, 2 * LOGINS + 2, 2)
    async with connected(gateway, None, "127.0.5.3") as connection:
        heads = [frame(HEADERS, END_HEADERS, stream, begun) for stream in streams]
        connection.writer.write(b"".join(heads))
        (answer,) = await connection.answers(streams[-1:])
    assert (answer.status, answer.reason) == (429, "RATE_LIMITED")


async def test_a_body_that_has_arrived_gives_its_memory_back(gateway: Gateway) -> None:
    """An address with many customers sends more bodies than it may have open at a time."""
    async with _connection(gateway, "127.0.5.4") as (reader, writer):
        for _ in range(SMALL_CALLS):
            writer.write(_head("content-length: 8192", path=LOGIN) + b"{}" + b" " * 8190)
            assert (await _answer(reader))[0] == 200


async def test_an_address_sends_a_bounded_number_of_large_bodies(gateway: Gateway) -> None:
    """The gateway needs time to read each, also if all of it has arrived."""
    body = BODY % (b"QUJD" * 17_000)
    found: list[int] = []
    async with _connection(gateway, "127.0.3.3") as (reader, writer):
        while len(found) < LARGE_CALLS and 429 not in found:
            writer.write(_head(f"content-length: {len(body)}") + body)
            found.append((await _answer(reader))[0])
    assert set(found) == {200, 429}


async def test_a_large_body_must_give_its_length(gateway: Gateway) -> None:
    async with _connection(gateway, "127.0.6.250") as (reader, writer):
        writer.write(_head(WITHOUT_LENGTH) + b"400\r\n" + LARGE[:1024] + b"\r\n")
        status, body = await _answer(reader)
    assert status == 411
    assert b'"reason":"MALFORMED_BODY"' in body
    assert b"Send the header Content-Length." in body


async def test_empty_bodies_without_a_length_stop_no_picture(gateway: Gateway) -> None:
    fields = head(gateway, "POST", BIOMETRIC, "content-type", "application/json")
    streams = range(1, 2 * EMPTY_CALLS // 10, 2)
    for number in range(10):
        async with connected(gateway, None, f"127.0.6.{number + 1}") as connection:
            connection.writer.write(b"".join(request(stream, fields) for stream in streams))
            assert {each.status for each in await connection.answers(streams)} == {411}
    assert await _post(gateway, "127.0.6.20", LARGE) == 200


@pytest.mark.parametrize(
    ("start", "all_max", "other"),
    [
        pytest.param(SLOW_LOGIN, 3 * LOGINS, BIOMETRIC, id="small"),
        pytest.param(DECLARED, 2 * PICTURES, LOGIN, id="large"),
    ],
)
async def test_all_addresses_together_have_a_limit(
    gateway: Gateway, start: bytes, all_max: int, other: str
) -> None:
    """Slow logins stop no picture, slow pictures stop no login, and neither stops a customer."""
    addresses = [f"127.0.4.{number + 1}" for number in range(all_max + 1)]
    async with _slow(gateway, addresses, start) as answers:
        _require_limited(answers)
        body = b"{}" if other == LOGIN else SMALL
        assert await _post(gateway, "127.0.4.99", body, other) == 200
        assert (await gateway.call("GET", "/v1/balances/a")).status == 200


async def test_a_gateway_without_memory_refuses_in_json(gateway: Gateway) -> None:
    """An idle proxy has allocated more than 4 MiB, so it refuses every request."""
    async with _with_heap(gateway.rig, "4194304"):
        await until(lambda: _is_overloaded(gateway.rig), what="the proxy finds its memory full")
        async with _connection(gateway, "127.0.0.1") as (reader, writer):
            writer.write(b"GET /unknown HTTP/1.1\r\nhost: localhost\r\n\r\n")
            status, body = await _answer(reader)
    assert status == 503
    assert b'"reason":"DEPENDENCY_UNAVAILABLE"' in body


@asynccontextmanager
async def _with_heap(rig: Rig, heap: str) -> AsyncGenerator[None]:
    """Restart the gateway with another largest heap, in bytes; at the end restart it as before."""
    path = rig.home / "envoy" / "gateway" / "bootstrap.json"
    usual = path.read_text()
    await _require_no_lua_error(rig)
    try:
        await _restart(rig, path, usual.replace(f'"{HEAP}"', f'"{heap}"'))
        yield
    finally:
        await _restart(rig, path, usual)


async def _restart(rig: Rig, path: Path, bootstrap: str) -> None:
    await rig.kill("gateway")
    path.write_text(bootstrap)
    await rig.start(["gateway"])


async def _is_overloaded(rig: Rig) -> bool:
    name = "overload.envoy.overload_actions.stop_accepting_requests.active"
    return (await rig.stats("gateway", name)).get(name) == 1
