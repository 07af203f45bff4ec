"""The gateway waits for a body only if it will read it: any other answer comes with the headers.

A caller without a token could otherwise take memory for each body that it does not send.
"""

import asyncio
import json
from collections.abc import Sequence

import pytest

from gateway.routes import gateway_routes
from ops.waiting import scaled_s
from services import contracts
from services.contracts import Audience
from tests.contract.gateway.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    Fields,
    block,
    connected,
    frame,
)
from tests.rigs.mesh.gateway import TRANSFER, Answer, Gateway

APP = "https://app.bp.example"
LOGIN, BIOMETRIC = "/v1/auth/login", "/v1/auth/biometric"
JSON = ("content-type", "application/json")
PREFLIGHT = [("origin", APP), ("access-control-request-method", "POST")]
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
ROUTES = gateway_routes(contracts.load())
PATHS = sorted({each.template for each in ROUTES} | {"/v1/nothing", "/"})
PUBLIC = {(each.verb, each.template) for each in ROUTES if each.audience is Audience.PUBLIC}
"""The routes that hold a body of a caller without a token; they reserve memory for it."""
STREAMS = 100
"""The open requests of a connection; the gateway allows 128."""
KIB = 1024
LARGEST = {LOGIN: 8 * KIB, BIOMETRIC: 2048 * KIB, TRANSFER: 64 * KIB}
"""The largest body of a public method, of a method with its own limit, and of the others."""
ANSWER_S = 10.0


def _fields(verb: str, path: str, *more: tuple[str, str]) -> Fields:
    pseudo = [(":method", verb), (":path", path), (":scheme", "https"), (":authority", "localhost")]
    return [*pseudo, JSON, *more]


async def _http2(gateway: Gateway, calls: Sequence[Fields], address: str) -> list[Answer]:
    """Send the headers of calls whose bodies never arrive; return the answers."""
    found: list[Answer] = []
    for start in range(0, len(calls), STREAMS):
        some = calls[start : start + STREAMS]
        async with connected(gateway, None, address) as connection:
            streams = range(1, 2 * len(some), 2)
            for stream, call in zip(streams, some, strict=True):
                connection.writer.write(frame(HEADERS, END_HEADERS, stream, block(call)))
            found += await connection.answers(streams)
    return found


async def _http1(gateway: Gateway, call: Fields, address: str) -> Answer:
    """Do the same for one call."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", gateway.rig.gateway_port, ssl=gateway.trusting(), local_addr=(address, 0)
    )
    fields = dict(call)
    lines = [f"{fields[':method']} {fields[':path']} HTTP/1.1", "host: localhost"]
    lines += [f"{name}: {value}" for name, value in call if name[0] != ":"]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        async with asyncio.timeout(scaled_s(ANSWER_S)):
            first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            headers = dict(line.split(": ", 1) for line in rest if line)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
    finally:
        writer.transport.abort()
    return Answer(int(first.split()[1]), headers, body.decode())


def test_some_methods_are_public_and_others_are_not() -> None:
    assert ("POST", LOGIN) in PUBLIC
    assert ("POST", TRANSFER) not in PUBLIC


async def test_only_public_methods_wait_for_a_body_without_a_token(gateway: Gateway) -> None:
    """Each verb of each path of the contracts is called, and paths without a route."""
    verbs = [(verb, path) for path in PATHS for verb in VERBS if (verb, path) not in PUBLIC]
    calls = [_fields(verb, path.replace("{", "").replace("}", "")) for verb, path in verbs]
    statuses = {each.status for each in await _http2(gateway, calls, "127.0.7.1")}
    assert statuses == {204, 401, 403, 404, 405}


@pytest.mark.parametrize("more", [[], PREFLIGHT], ids=["plain", "preflight"])
@pytest.mark.parametrize("length", [[("content-length", "65536")], []], ids=["length", "none"])
async def test_options_waits_for_no_body_over_http2(
    gateway: Gateway, more: Fields, length: Fields
) -> None:
    calls = [_fields("OPTIONS", path, *more, *length) for path in (*LARGEST, "/v1/nothing", "*")]
    answers = await _http2(gateway, calls, "127.0.7.2")
    assert {each.status for each in answers} == ({200, 404} if more else {204, 404})


@pytest.mark.parametrize("more", [[], PREFLIGHT], ids=["plain", "preflight"])
@pytest.mark.parametrize(
    "length",
    [("content-length", "65536"), ("transfer-encoding", "chunked")],
    ids=lambda one: one[0],
)
async def test_options_waits_for_no_body_over_http1(
    gateway: Gateway, more: Fields, length: tuple[str, str]
) -> None:
    for path in LARGEST:
        answer = await _http1(gateway, _fields("OPTIONS", path, *more, length), "127.0.7.3")
        assert answer.status == (200 if more else 204)


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("excess", [1, 10_000_000_000])
@pytest.mark.parametrize("path", LARGEST)
async def test_a_length_above_the_limit_is_refused_before_the_body_arrives(
    gateway: Gateway, path: str, excess: int, version: str
) -> None:
    """Such a body would otherwise arrive up to the limit, without memory reserved for it."""
    token = ("authorization", f"Bearer {gateway.token}")
    length = ("content-length", str(LARGEST[path] + excess))
    call = _fields("POST", path, token, length, ("origin", APP), ("idempotency-key", "k"))
    if version == "HTTP/2":
        (answer,) = await _http2(gateway, [call], "127.0.7.4")
    else:
        answer = await _http1(gateway, call, "127.0.7.5")
    assert answer.headers["access-control-allow-origin"] == APP
    assert (answer.status, answer.reason) == (413, "REQUEST_TOO_LARGE")
    assert f"at most {LARGEST[path] // KIB} KiB" in answer.json["message"]


@pytest.mark.parametrize(
    ("sizes", "status"),
    [([8192], 200), ([8193], 413), ([16384], 413), ([1, 8192], 413), ([8192, 16384], 413)],
)
async def test_a_body_without_a_length_is_not_larger_than_the_limit(
    gateway: Gateway, sizes: list[int], status: int
) -> None:
    """HTTP/2 needs no length. One frame at the end of a body has up to 16 KiB."""
    calls, body = gateway.seen.calls, json.dumps({}).encode().rjust(sum(sizes))
    async with connected(gateway, None, "127.0.7.6") as connection:
        connection.writer.write(frame(HEADERS, END_HEADERS, 1, block(_fields("POST", LOGIN))))
        for place, size in enumerate(sizes):
            flags = END_STREAM if place + 1 == len(sizes) else 0
            connection.writer.write(frame(DATA, flags, 1, body[:size]))
            body = body[size:]
        (answer,) = await connection.answers([1])
    assert answer.status == status
    assert gateway.seen.calls == calls + (status == 200)
