"""HTTP to partners, through the sidecar's Unix socket: TLS, retries and breakers are its work.

A client for this one peer: HTTP/1.1, connections kept open, one request at a time on each. It
costs a fifth of what a general client does, several times for each transfer. What is not a whole,
well-formed answer raises NoAnswer, which says nothing of whether the request was carried out.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from services.chassis.settings import ServiceSettings

CONNECTIONS_MAX = 256
"""Requests under way at once; a partner that hangs must not hold up the others."""
IDLE_S_MAX = 30.0
"""A connection that rested longer is not used again: the sidecar may be closing it."""
TIMEOUT_S = 60.0
"""The sidecar's route ends a call; this bound only catches a sidecar that is gone."""
CONNECT_TIMEOUT_S = 2.0
HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 4_194_304

_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"
_CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,6}[ \t]*")


class NoAnswer(OSError):
    """No whole answer came: the connection broke, the time was over, or it was not HTTP."""


@dataclass(frozen=True, slots=True)
class PartnerAnswer:
    """One whole answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_answer(received: bytes, *, closed: bool = False) -> PartnerAnswer | None:
    """Return the answer that the bytes hold, None if it is not whole; raise NoAnswer if bad.

    `closed` says that no more will come, which ends a body of no stated length.
    """
    end = received.find(_HEAD_END)
    if end < 0:
        if len(received) > HEAD_BYTES_MAX:
            raise NoAnswer("the head is too long")
        return None
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if version not in {"HTTP/1.1", "HTTP/1.0"} or not rest[:3].isdigit():
        raise NoAnswer("not an HTTP/1 answer")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    body = _body(received, end + 4, int(rest[:3]), headers, closed=closed)
    return None if body is None else PartnerAnswer(int(rest[:3]), headers, body)


def _body(
    received: bytes, begin: int, status: int, headers: Mapping[str, str], *, closed: bool
) -> bytes | None:
    if status in {204, 304}:
        return b""
    if "chunked" in headers.get("transfer-encoding", ""):
        return _chunks(received, begin)
    length = headers.get("content-length")
    if length is None:
        return received[begin:] if closed else None
    if not length.isdigit() or int(length) > BODY_BYTES_MAX:
        raise NoAnswer("the length is not one")
    end = begin + int(length)
    return received[begin:end] if len(received) >= end else None


def _chunks(received: bytes, at: int) -> bytes | None:
    """Return the chunks' content, None while the last, empty one is missing."""
    content: list[bytes] = []
    while (end := received.find(_LINE_END, at)) >= 0:
        digits = received[at:end].partition(b";")[0]
        if not _CHUNK_SIZE.fullmatch(digits):
            raise NoAnswer("a chunk without a size")
        size = int(digits, 16)
        if size == 0:
            # Trailers may follow; an empty line ends them.
            return b"".join(content) if received.find(_HEAD_END, end) >= 0 else None
        content.append(received[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return None


class _Connection(asyncio.Protocol):
    """One connection to the sidecar."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[PartnerAnswer] | None = None
        self.is_open = False
        self.rest_time = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # what nobody asked for must not answer the next request
            return
        self._received = self._received + data if self._received else data
        self._look(closed=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._answer is None:
            return
        if not self._look(closed=True):
            self._end(NoAnswer(f"the connection broke: {exc or 'closed'}"))

    def _look(self, *, closed: bool) -> bool:
        """Give the caller the answer if it is whole; False if it is not."""
        try:
            answer = read_answer(self._received, closed=closed)
        except NoAnswer as error:
            self.close()
            self._end(error)
            return True
        if answer is None:
            return False
        if answer.headers.get("connection") == "close":
            self.close()
        self._end(answer)
        return True

    def _end(self, what: PartnerAnswer | NoAnswer) -> None:
        waiting, self._answer, self._received = self._answer, None, b""
        if waiting is None or waiting.done():
            return
        if isinstance(what, NoAnswer):
            waiting.set_exception(what)
        else:
            waiting.set_result(what)

    async def ask(self, request: bytes) -> PartnerAnswer:
        """Send a request and return its answer; a caller that gives up takes the line down."""
        self._answer = asyncio.get_running_loop().create_future()
        waiting = self._answer
        self._transport.write(request)
        try:
            return await waiting
        except asyncio.CancelledError:
            self._answer = None
            self._transport.abort()
            self.is_open = False
            raise

    def close(self) -> None:
        """Close it."""
        self.is_open = False
        self._transport.close()


class PartnerSession:
    """The connections of one process, as an async context."""

    def __init__(self, socket: Path) -> None:
        self._socket = str(socket)
        self._idle: deque[_Connection] = deque()
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._idle:
            self._idle.pop().close()

    async def request(
        self,
        method: str,
        host: str,
        path: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_s: float = TIMEOUT_S,
    ) -> PartnerAnswer:
        """Ask a partner by its host name; raises NoAnswer or TimeoutError, both OSErrors."""
        lines = [f"{method} {path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
            raise ValueError("a line break in a header")
        async with asyncio.timeout(timeout_s), self._places:
            connection = self._rested() or await self._connected()
            answer = await connection.ask(head.encode("latin-1") + _HEAD_END + body)
        if connection.is_open:
            connection.rest_time = time.monotonic()
            self._idle.append(connection)
        return answer

    def _rested(self) -> _Connection | None:
        """Return the connection used last, which is the least likely to be closing."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and time.monotonic() - connection.rest_time < IDLE_S_MAX:
                return connection
            connection.close()
        return None

    async def _connected(self) -> _Connection:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, connection = await loop.create_unix_connection(_Connection, self._socket)
        return connection


def partner_session(settings: ServiceSettings) -> PartnerSession:
    """Return a session; the sidecar makes its requests HTTPS by the partner's host name."""
    if settings.socket_out is None:
        raise ValueError("a service without a sidecar reaches no partner")
    return PartnerSession(settings.socket_out)
