"""The memory that calls without a token can take at the gateway is limited.

The gateway holds a call until all of its body has arrived. So a caller that opens many calls and
sends their bodies slowly takes memory for each of them.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from mesh import ctl
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
from tests.rigs.mesh.gateway import Gateway, open_gateway
from tests.rigs.mesh.proxies import Rig
from tests.rigs.mesh.tls import client_context

BIOMETRIC, LOGIN = "/v1/auth/biometric", "/v1/auth/login"
BODY = b'{"sessionId":"s","biometricData":{"face":{"picture":"%s"}}}'
LARGE = BODY % (b"QUJD" * 250_000)
SMALL = BODY % b"QUJD"
PICTURES = 18
"""More slow pictures than an address may have; the bucket of large bodies allows 20 at once."""
LARGE_CALLS = 40
"""Twice the burst of that bucket."""
OPEN_MAX = 56
"""The slow logins that an address may have; the bucket LOGIN allows 200 at once."""
SMALL_CALLS = 2 * OPEN_MAX
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


@pytest.fixture(scope="module")
async def gateway() -> AsyncGenerator[Gateway]:
    """A gateway of its own, because these tests empty buckets that all addresses share."""
    async with open_gateway() as opened:
        yield opened
        # An error of the Lua code lets the request pass.
        assert set((await opened.rig.stats("gateway", "lua.errors")).values()) == {0}


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


async def _first(*readers: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    """Return the first answers; a call whose body does not arrive has none."""
    tasks = [asyncio.create_task(_answer(reader)) for reader in readers]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return [task.result() for task in done]


@asynccontextmanager
async def _slow(
    gateway: Gateway, addresses: Sequence[str], start: bytes
) -> AsyncGenerator[list[tuple[int, bytes]]]:
    """Begin a call from each address, keep them all open, and give the first answers."""
    async with AsyncExitStack() as opened:
        slow = [await opened.enter_async_context(_connection(gateway, each)) for each in addresses]
        for _, writer in slow:
            writer.write(start)
        yield await _first(*(reader for reader, _ in slow))


def _require_limited(answers: Sequence[tuple[int, bytes]]) -> None:
    assert answers
    for status, body in answers:
        assert status == 429
        assert b'"reason":"RATE_LIMITED"' in body.replace(b": ", b":")


async def test_an_address_cannot_fill_the_memory_with_slow_bodies(gateway: Gateway) -> None:
    """Further pictures are refused before they arrive. Small bodies and others are served."""
    async with _slow(gateway, ["127.0.3.1"] * PICTURES, DECLARED) as answers:
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
    streams = range(1, 2 * OPEN_MAX + 2, 2)
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


@pytest.fixture
def small_pools(tmp_path: Path) -> Path:
    """Return a configuration in which two pictures or 58 logins fill the memory of all."""
    config = tmp_path / "config"
    shutil.copytree(ctl.CONFIG, config)
    policy = config / "gateway.yaml"
    text, pools = re.subn("totalKiB: [0-9]+", "totalKiB: 2100", policy.read_text())
    assert pools == 2
    policy.write_text(text)
    return config


@pytest.mark.parametrize(
    ("start", "other"),
    [
        pytest.param(SLOW_LOGIN, BIOMETRIC, id="small"),
        pytest.param(DECLARED, LOGIN, id="large"),
    ],
)
async def test_all_addresses_together_have_a_limit(
    small_pools: Path, start: bytes, other: str
) -> None:
    """Slow logins stop no picture, slow pictures stop no login, and neither stops a customer."""
    async with open_gateway(small_pools) as gateway:
        addresses = [f"127.0.4.{number % 30 + 1}" for number in range(2 * OPEN_MAX)]
        async with _slow(gateway, addresses, start) as answers:
            _require_limited(answers)
            body = b"{}" if other == LOGIN else SMALL
            assert await _post(gateway, "127.0.4.99", body, other) == 200
            assert (await gateway.call("GET", "/v1/balances/a")).status == 200


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
