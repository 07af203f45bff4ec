"""HTTP/2 frames that no client library sends: what is wrong with one stream is that stream's."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.contract.mesh_rig.bank import BODY, TRANSFER, Bank

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _CONTINUATION = 0, 1, 3, 4, 9
_END_STREAM, _END_HEADERS = 1, 4
_PROTOCOL_ERROR, _INTERNAL_ERROR = 1, 2
_ANSWER_S = 5.0

Fields = list[tuple[str, str]]


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """One frame (RFC 9113, 4.1)."""
    head = len(content).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + content


def block(fields: Iterable[tuple[str, str]]) -> bytes:
    """Fields as literals without a table (RFC 7541, 6.2.2), each shorter than 16 KB."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    raw = text.encode("latin-1")
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest = len(raw) - 127
    return bytes([127, rest & 127 | 128, rest >> 7]) + raw


def head(bank: Bank, verb: str = "GET", path: str = "/v1/balances/a", *more: str) -> Fields:
    """A sound request's fields; `more` are names and values in turn."""
    pseudo = [(":method", verb), (":path", path), (":scheme", "https"), (":authority", "localhost")]
    extra = list(zip(more[::2], more[1::2], strict=True))
    return [*pseudo, ("authorization", f"Bearer {bank.token}"), *extra]


def request(stream: int, fields: Fields) -> bytes:
    """A request without a body."""
    return frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, block(fields))


@dataclass
class Connection:
    """One connection to the edge."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def next(self) -> tuple[int, int, int, bytes]:
        """Kind, flags, stream and content of the next frame; IncompleteReadError at the end."""
        async with asyncio.timeout(_ANSWER_S):
            start = await self.reader.readexactly(9)
            content = await self.reader.readexactly(int.from_bytes(start[:3], "big"))
        return start[3], start[4], int.from_bytes(start[5:], "big"), content

    async def answer(self, stream: int) -> bytes:
        """What the stream's DATA frames hold, once it has ended; other streams are passed over."""
        body = b""
        while True:
            kind, flags, of, content = await self.next()
            if of != stream:
                continue
            assert kind != _RST, content
            body += content if kind == _DATA else b""
            if flags & _END_STREAM and kind in (_DATA, _HEADERS):
                return body

    async def reset(self, stream: int) -> int:
        """The code with which the edge ended a stream."""
        while True:
            kind, _, of, content = await self.next()
            if (kind, of) == (_RST, stream):
                return int.from_bytes(content, "big")


@asynccontextmanager
async def connected(bank: Bank) -> AsyncIterator[Connection]:
    """Open a connection and say the preface."""
    context = bank.trusting()
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("localhost", bank.rig.edge_port, ssl=context)
    writer.write(_PREFACE + frame(_SETTINGS, 0, 0))
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


def malformed(bank: Bank) -> dict[str, Fields]:
    """Requests that RFC 9113, 8.1.1 calls malformed."""
    good = head(bank)
    return {
        "a method twice": [(":method", "POST"), *good],
        "a path twice": [(":path", "/v1/webhooks/ach"), *good],
        "a response's pseudo-field": [(":status", "200"), *good],
        "an unknown pseudo-field": [(":other", "x"), *good],
        "a pseudo-field behind a field": [good[-1], *good[:-1]],
        "no method": good[1:],
        "no path": [each for each in good if each[0] != ":path"],
        "an empty path": head(bank, path=""),
        "a path that ends the line": head(bank, "GET", "/v1/balances/a\r\nx: y"),
        "no scheme": [each for each in good if each[0] != ":scheme"],
        "a name in capitals": [*good, ("X-Upper", "1")],
        "a line's end in a value": [*good, ("x", "a\r\nx-bp-subject: b")],
        "NUL in a value": [*good, ("x", "a\0b")],
        "a name with a colon": [*good, ("x:y", "1")],
        "an HTTP/1.1 field": [*good, ("connection", "close")],
        "a transfer coding": [*good, ("transfer-encoding", "chunked")],
        "te that is not trailers": [*good, ("te", "gzip")],
        "a tunnel for web sockets": [(":protocol", "websocket"), *head(bank, "CONNECT")],
        "two lengths": [*good, ("content-length", "1"), ("content-length", "2")],
    }


async def test_a_malformed_request_ends_its_stream_and_harms_no_other(bank: Bank) -> None:
    """Envoy ends the whole connection unless told otherwise: that of a proxy is many callers'."""
    calls = bank.seen.calls
    for what, fields in malformed(bank).items():
        async with connected(bank) as edge:
            order = head(
                bank, "POST", TRANSFER, "content-type", "application/json", "idempotency-key", "k"
            )
            edge.writer.write(frame(_HEADERS, _END_HEADERS, 1, block(order)) + request(3, fields))
            try:
                assert await edge.reset(3) == _PROTOCOL_ERROR, what
                assert bank.seen.calls == calls, what
                edge.writer.write(frame(_DATA, _END_STREAM, 1, json.dumps(BODY).encode()))
                assert json.loads(await edge.answer(1))["state"] == "SUBMITTED", what
            except asyncio.IncompleteReadError:
                pytest.fail(f"{what}: the connection ended")
        calls = bank.seen.calls


async def test_a_length_that_is_not_the_bodys_reaches_no_service(bank: Bank) -> None:
    body = json.dumps(BODY).encode()
    for length in (len(body) - 5, len(body) + 5):
        calls = bank.seen.calls
        fields = head(bank, "POST", TRANSFER, "content-type", "application/json")
        fields += [("idempotency-key", "k"), ("content-length", str(length))]
        async with connected(bank) as edge:
            edge.writer.write(frame(_HEADERS, _END_HEADERS, 1, block(fields)))
            edge.writer.write(frame(_DATA, _END_STREAM, 1, body))
            assert await edge.reset(1) == _PROTOCOL_ERROR
        assert bank.seen.calls == calls


async def test_headers_without_end_are_cut_off(bank: Bank) -> None:
    """CONTINUATION frames without the last: beyond the limit of headers, and empty ones."""
    beyond, empty = block([("x", "a" * 900)]), b""
    async with connected(bank) as edge:
        edge.writer.write(frame(_HEADERS, 0, 1, block(head(bank))))
        edge.writer.write(frame(_CONTINUATION, 0, 1, beyond) * 400)
        assert await edge.reset(1) == _INTERNAL_ERROR
    async with connected(bank) as edge:
        edge.writer.write(frame(_HEADERS, 0, 1, block(head(bank))))
        edge.writer.write(frame(_CONTINUATION, 0, 1, empty) * 400)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await edge.reset(1)
    assert (await bank.call("GET", "/v1/balances/a")).status == 200


async def test_requests_that_are_taken_back_at_once_keep_no_one_out(bank: Bank) -> None:
    """What CVE-2023-44487 does, in small; the flood counts in its own customer's bucket alone."""
    other = bank.issuer.token("calm")
    hasty = head(bank)
    hasty[-1] = ("authorization", f"Bearer {bank.issuer.token('hasty')}")
    async with connected(bank) as edge:
        for stream in range(1, 801, 2):
            cancel = frame(_RST, 0, stream, (8).to_bytes(4, "big"))
            edge.writer.write(request(stream, hasty) + cancel)
        answers = [bank.call("GET", "/v1/balances/a", token=other) for _ in range(8)]
        assert {each.status for each in await asyncio.gather(*answers)} == {200}
