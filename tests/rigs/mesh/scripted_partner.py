"""A partner over TLS that answers each path as its script says, by HTTP/1.1 or HTTP/2.

It records each request that arrives, so that a test reads what was on the wire. Paths have scripts
of their own, so several experiments can use one partner at the same time.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from tests.rigs.mesh.tls import server_context

HANG = "hang"
"""Never answer."""
RESET = "reset"
"""Reset the connection or the stream after the request has arrived."""
REFUSED = "refused"
"""Refuse the stream, which promises that the request was not processed; HTTP/2 only."""
Step = int | str
"""A status, or one of the words above."""
HTTP1 = "http/1.1"
HTTP2 = "h2"
_FOREVER_S = 3600
_OK = 200


@dataclass
class Try:
    """One request as it arrived."""

    http: str
    tls: str
    client: str
    """The common name of the client's certificate, or nothing."""
    method: str
    target: str
    host: str
    headers: Mapping[str, str]
    body: bytes
    arrived_s: float = field(default_factory=time.monotonic)
    answered_s: float = 0.0
    """When the partner began to answer; 0 while it has not."""

    @property
    def key(self) -> str:
        """The idempotency key, or nothing."""
        return self.headers.get("idempotency-key", "")


@dataclass
class Scenario:
    """What the partner does with the requests for one path, and those that arrived."""

    script: deque[Step] = field(default_factory=lambda: deque[Step]())
    each_call: tuple[Step, ...] = ()
    """If set, each idempotency key has this script of its own."""
    then: Step = _OK
    """What the partner does at the end of a script."""
    tries: list[Try] = field(default_factory=lambda: list[Try]())

    def step(self, arrived: Try) -> Step:
        """Record a request and return what the partner does with it."""
        self.tries.append(arrived)
        if self.each_call:
            number = sum(each.key == arrived.key for each in self.tries)
            return self.each_call[number - 1] if number <= len(self.each_call) else self.then
        return self.script.popleft() if self.script else self.then


class ScriptedPartner:
    """A server with one certificate; it speaks HTTP/1.1, or HTTP/2 if `speaks` is HTTP2."""

    def __init__(
        self, port: int, folder: Path, clients: Path, *, speaks: str, strict: bool
    ) -> None:
        """`strict` refuses clients without a certificate from `clients`; else it only asks."""
        self._port, self._speaks = port, speaks
        self._context = server_context(folder, clients)
        self._context.verify_mode = ssl.CERT_REQUIRED if strict else ssl.CERT_OPTIONAL
        # A partner that offers both: the sidecar chooses.
        self._context.set_alpn_protocols([HTTP2, HTTP1] if speaks == HTTP2 else [HTTP1])
        self._paths: dict[str, Scenario] = {}
        self._stop: Callable[[], Any] | None = None
        self._open: set[Any] = set()

    def scenario(self, path: str, script: Iterable[Step] = (), **more: Any) -> Scenario:
        """Begin a scenario at a path and return it."""
        self._paths[path] = Scenario(deque(script), **more)
        return self._paths[path]

    def arrived(self, path: str) -> list[Try]:
        """Return the requests that have arrived for a path."""
        return self._scenario_at(path).tries

    async def start(self) -> None:
        """Accept connections."""
        if self._speaks == HTTP2:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(
                lambda: _Http2(self._scenario_at, self._open),
                "127.0.0.1",
                self._port,
                ssl=self._context,
            )
            self._stop = server.close
            return
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port, ssl_context=self._context).start()
        self._stop = runner.cleanup

    async def close(self) -> None:
        """End all connections and refuse new ones."""
        if self._stop is not None:
            ended = self._stop()
            if ended is not None:
                await ended
            self._stop = None
        for transport in tuple(self._open):
            transport.abort()

    def _scenario_at(self, target: str) -> Scenario:
        return self._paths.setdefault(target.partition("?")[0], Scenario())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body, transport = await request.read(), request.transport
        if transport is None:
            raise ConnectionResetError
        headers = {name.lower(): value for name, value in request.headers.items()}
        major, minor = request.version
        arrived = _try(transport, f"HTTP/{major}.{minor}", request.method, headers, body)
        arrived.target, arrived.host = request.raw_path, request.host
        step = self._scenario_at(arrived.target).step(arrived)
        if step == HANG:
            await asyncio.sleep(_FOREVER_S)
        arrived.answered_s = time.monotonic()
        if step == RESET:
            transport.abort()
        return web.json_response({}, status=step if isinstance(step, int) else _OK)


class _Http2(asyncio.Protocol):
    """One HTTP/2 connection."""

    def __init__(self, scenario_at: Callable[[str], Scenario], connected: set[Any]) -> None:
        self._scenario_at, self._connected = scenario_at, connected
        self._connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._requests: dict[int, tuple[dict[str, str], bytearray]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._connected.add(transport)
        self._connection.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connected.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            events = self._connection.receive_data(data)
        except ProtocolError:
            # This is how a client looks that speaks HTTP/1.1.
            self._transport.close()
            return
        for event in events:
            if isinstance(event, RequestReceived):
                headers = {str(name): str(value) for name, value in event.headers}
                self._requests[event.stream_id] = (headers, bytearray())
            elif isinstance(event, DataReceived):
                self._requests[event.stream_id][1].extend(event.data)
                self._connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
            elif isinstance(event, StreamEnded):
                self._answer(event.stream_id)
            elif isinstance(event, StreamReset):
                self._requests.pop(event.stream_id, None)
        self._flush()

    def _answer(self, stream_id: int) -> None:
        headers, body = self._requests.pop(stream_id)
        arrived = _try(self._transport, "HTTP/2", headers[":method"], headers, bytes(body))
        arrived.target, arrived.host = headers[":path"], headers[":authority"]
        step = self._scenario_at(arrived.target).step(arrived)
        if step == HANG:
            return
        arrived.answered_s = time.monotonic()
        if not isinstance(step, int):
            code = ErrorCodes.REFUSED_STREAM if step == REFUSED else ErrorCodes.INTERNAL_ERROR
            self._connection.reset_stream(stream_id, code)
            return
        answer = [(":status", str(step)), ("content-type", "application/json")]
        self._connection.send_headers(stream_id, answer)
        self._connection.send_data(stream_id, b"{}", end_stream=True)

    def _flush(self) -> None:
        self._transport.write(self._connection.data_to_send())


def _try(
    transport: asyncio.BaseTransport,
    http: str,
    method: str,
    headers: Mapping[str, str],
    body: bytes,
) -> Try:
    tls, peer = transport.get_extra_info("ssl_object"), transport.get_extra_info("peercert")
    client = str(peer["subject"][0][0][1]) if peer else ""
    return Try(http, str(tls.version()), client, method, "", "", headers, body)
