"""HTTP/2 frame by frame, for requests that no client library sends. Contains no tests."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hpack import Decoder

from ops.waiting import scaled_s
from tests.rigs.mesh.gateway import Answer, Gateway

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, CONTINUATION = 0, 1, 3, 4, 9
END_STREAM, END_HEADERS = 1, 4
PROTOCOL_ERROR, INTERNAL_ERROR = 1, 2
ANSWER_S = 5.0

Fields = list[tuple[str, str]]


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """Return one frame (RFC 9113, 4.1)."""
    head = len(content).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + content


def block(fields: Iterable[tuple[str, str]]) -> bytes:
    """Encode fields as literals without a table (RFC 7541, 6.2.2), each shorter than 16 KB."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    raw = text.encode("latin-1")
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    rest = len(raw) - 127
    return bytes([127, rest & 127 | 128, rest >> 7]) + raw


def head(gateway: Gateway, verb: str = "GET", path: str = "/v1/balances/a", *more: str) -> Fields:
    """Return the fields of a valid request; `more` alternates between names and values."""
    pseudo = [(":method", verb), (":path", path), (":scheme", "https"), (":authority", "localhost")]
    extra = list(zip(more[::2], more[1::2], strict=True))
    return [*pseudo, ("authorization", f"Bearer {gateway.token}"), *extra]


def request(stream: int, fields: Fields) -> bytes:
    """Return a request without a body."""
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, block(fields))


@dataclass
class Connection:
    """One connection to the gateway."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def next(self) -> tuple[int, int, int, bytes]:
        """Return kind, flags, stream and content of the next frame. Raises IncompleteReadError."""
        async with asyncio.timeout(scaled_s(ANSWER_S)):
            start = await self.reader.readexactly(9)
            content = await self.reader.readexactly(int.from_bytes(start[:3], "big"))
        return start[3], start[4], int.from_bytes(start[5:], "big"), content

    async def answer(self, stream: int) -> bytes:
        """Return the content of the stream's DATA frames after its end; ignore other streams."""
        body = b""
        while True:
            kind, flags, of, content = await self.next()
            if of != stream:
                continue
            assert kind != RST, content
            body += content if kind == DATA else b""
            if flags & END_STREAM and kind in (DATA, HEADERS):
                return body

    async def answers(self, streams: Iterable[int]) -> list[Answer]:
        """Return the complete answers of these streams, in the order in which the streams end.

        The gateway resets a stream after its answer if the body has not arrived.
        """
        decoder, waiting, whole = Decoder(), set(streams), list[Answer]()
        fields: dict[int, list[dict[str, str]]] = {stream: [] for stream in waiting}
        bodies = dict.fromkeys(waiting, b"")
        while waiting:
            kind, flags, of, content = await self.next()
            assert kind != RST or of not in waiting, content
            if kind == HEADERS:
                found = decoder.decode(content)
                fields[of].append({str(name): str(value) for name, value in found})
            elif kind == DATA:
                bodies[of] += content
            if flags & END_STREAM and kind in (DATA, HEADERS):
                waiting.remove(of)
                first, *later = fields[of]
                trailers = later[0] if later else {}
                text = bodies[of].decode()
                whole.append(Answer(int(first[":status"]), first, text, trailers))
        return whole

    async def reset(self, stream: int) -> int:
        """Return the code with which the gateway reset the stream."""
        while True:
            kind, _, of, content = await self.next()
            if (kind, of) == (RST, stream):
                return int.from_bytes(content, "big")


@asynccontextmanager
async def connected(
    gateway: Gateway, client: str | None = None, source: str = "127.0.0.1"
) -> AsyncGenerator[Connection]:
    """Open a connection from an address, with a partner's certificate or none; send the preface."""
    context = gateway.trusting(client)
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        gateway.rig.gateway_port,
        ssl=context,
        server_hostname="localhost",
        local_addr=(source, 0),
    )
    writer.write(PREFACE + frame(SETTINGS, 0, 0))
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()
