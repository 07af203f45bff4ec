"""Envoy's AggregatedDiscoveryService over Unix sockets: one socket and one gRPC server per node.

The socket is the identity: only the bank's own user can open it, and the `node.id` of the first
request must be its node. gRPC does not tell by which socket a call came, so each node has a server
of its own. A node may have a few streams, because a restarted proxy connects before the end of its
old stream is noticed; the newest wins. For load tests one socket may serve all nodes.
"""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import grpc.aio

from mesh.controlplane.deliver.admission import Admission, TokenBucket
from mesh.controlplane.deliver.cache import Cache, Session
from mesh.controlplane.deliver.envelopes import (
    Encoder,
    MalformedRequest,
    Request,
    Response,
    delta_request,
    sotw_request,
)
from mesh.controlplane.deliver.protocol import Form

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
ANY_NODE = ""
"""Stands for the socket of a load test, which serves every node by its `node.id`."""
_MODE = 0o600
_GONE = (grpc.aio.InternalError, grpc.aio.UsageError, asyncio.InvalidStateError)
"""Raised by a write to a client that has gone."""
log = logging.getLogger("control-plane")
_Context = grpc.aio.ServicerContext[bytes, bytes]


@dataclass(frozen=True)
class Settings:
    """Limits of the server.

    `streams_per_s` and `burst` limit new streams of all nodes, `node_streams_per_s` and
    `node_burst` those of one; a refused proxy comes again.
    A request with the versions of 10,000 resources has half a mebibyte.
    """

    streams_per_s: float = 50.0
    burst: int = 100
    node_streams_per_s: float = 0.5
    node_burst: int = 10
    streams_per_node_max: int = 4
    request_bytes_max: int = 4 * 1024 * 1024
    first_request_s: float = 10.0
    keepalive_s: float = 30.0
    keepalive_timeout_s: float = 10.0
    grace_s: float = 1.0
    large_bytes: int = 64 * 1024
    large_at_once: int = 32
    large_hold_s: float = 1.0
    """Of responses with `large_bytes` or more, only some are in memory at once, or a push to many
    proxies would need a copy for each. A proxy that reads nothing delays others no longer than
    `large_hold_s`."""


class _Large:
    """Takes turns of large responses."""

    def __init__(self, settings: Settings) -> None:
        self.turn = asyncio.Semaphore(settings.large_at_once)
        self.hold_s = settings.large_hold_s
        self._bytes = settings.large_bytes

    def is_large(self, response: Response) -> bool:
        """Return whether a response has to wait for its turn."""
        return sum(len(each.body) for each in response.resources) >= self._bytes


class _Link:
    """The connection of one stream: sends what its session has, one message at a time."""

    def __init__(
        self, context: _Context, encode: Callable[[Response], bytes], large: "_Large"
    ) -> None:
        self._context, self._encode, self._large = context, encode, large
        self._outbox: deque[Response] = deque()
        self._sending = False
        self._flush: asyncio.Task[None] | None = None
        self._handler = asyncio.current_task()
        self.session: Session | None = None
        self.ended: tuple[grpc.StatusCode, str] | None = None

    def notify(self) -> None:
        """Send soon what the session has; several calls before that are one."""
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._update())
            self._flush.add_done_callback(self._updated)

    async def _update(self) -> None:
        while self.session is not None and self.session.changed and self.ended is None:
            try:
                await self.send(self.session.update())
            except _GONE:
                # The reader sees the end of the stream.
                return

    def _updated(self, task: asyncio.Task[None]) -> None:
        """A stream that could not be updated ends: the proxy connects again and gets everything."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a stream cannot be updated", exc_info=error)
            self.end(grpc.StatusCode.INTERNAL, "the control plane failed; connect again")

    async def send(self, responses: list[Response]) -> None:
        """Send responses in order."""
        self._outbox.extend(responses)
        if self._sending:
            return
        self._sending = True
        try:
            while self._outbox:
                await self._write(self._outbox.popleft())
        finally:
            self._sending = False

    async def _write(self, response: Response) -> None:
        if not self._large.is_large(response):
            await self._context.write(self._encode(response))
            return
        async with self._large.turn:
            writing = asyncio.ensure_future(self._context.write(self._encode(response)))
            try:
                await asyncio.wait((writing,), timeout=self._large.hold_s)
            except asyncio.CancelledError:
                writing.cancel()
                raise
        await writing

    def end(self, code: grpc.StatusCode, why: str) -> None:
        """End the stream."""
        if self.ended is None and self._handler is not None:
            self.ended = (code, why)
            self._handler.cancel()

    def close(self) -> None:
        """The stream has ended."""
        if self._flush is not None:
            self._flush.cancel()


async def _read(context: _Context) -> object:
    """Return the next message, or what stands for the end of the stream."""
    return await context.read()


class Server:
    """The sockets and streams of all nodes; `serve` adds a node, `close` ends everything."""

    def __init__(self, cache: Cache, settings: Settings | None = None) -> None:
        self._cache = cache
        self._settings = limits = settings or Settings()
        whole = TokenBucket(limits.streams_per_s, limits.burst)
        self._admission = Admission(whole, limits.node_streams_per_s, limits.node_burst)
        self._large = _Large(self._settings)
        self._encoder = Encoder()
        self._servers: dict[Path, grpc.aio.Server] = {}
        self._links: dict[str, list[_Link]] = {}

    async def serve(self, node: str, path: Path) -> None:
        """Listen on the socket of a node; a socket of an earlier process is replaced."""
        await self.stop(path)
        path.unlink(missing_ok=True)
        server = grpc.aio.server(options=self._options())
        server.add_generic_rpc_handlers((self._handlers(node),))
        # The file has its mode from the start; nothing else runs between these lines.
        before = os.umask(0o777 & ~_MODE)
        try:
            server.add_insecure_port(f"unix:{path}")
        finally:
            os.umask(before)
        await server.start()
        self._servers[path] = server

    async def stop(self, path: Path) -> None:
        """Stop listening on a socket, and end its streams."""
        if (server := self._servers.pop(path, None)) is not None:
            await server.stop(self._settings.grace_s)
            path.unlink(missing_ok=True)

    async def close(self) -> None:
        """End all streams and remove all sockets; the proxies keep what they have."""
        for link in [each for some in self._links.values() for each in some]:
            link.end(grpc.StatusCode.UNAVAILABLE, "the control plane is shutting down")
        await asyncio.gather(*(self.stop(path) for path in list(self._servers)))

    def _options(self) -> list[tuple[str, int]]:
        limits = self._settings
        return [
            ("grpc.max_receive_message_length", limits.request_bytes_max),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", 2_000),
            ("grpc.keepalive_time_ms", round(1000 * limits.keepalive_s)),
            ("grpc.keepalive_timeout_ms", round(1000 * limits.keepalive_timeout_s)),
            # Without it, gRPC waits a minute for the answer to a ping.
            ("grpc.http2.ping_timeout_ms", round(1000 * limits.keepalive_timeout_s)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.so_reuseport", 0),
        ]

    def _handlers(self, node: str) -> grpc.GenericRpcHandler:
        async def delta(_requests: Any, context: _Context) -> None:
            await self._stream(node, Form.DELTA, context)

        async def sotw(_requests: Any, context: _Context) -> None:
            await self._stream(node, Form.SOTW, context)

        methods = {
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(cast(Any, delta)),
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(cast(Any, sotw)),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _stream(self, node: str, form: Form, context: _Context) -> None:
        if node != ANY_NODE:
            await self._take(node, context)
        delta = form is Form.DELTA
        parse = delta_request if delta else sotw_request
        link = _Link(context, self._encoder.delta if delta else self._encoder.sotw, self._large)
        name = ANY_NODE
        try:
            first = await self._first(context, parse)
            name = first.node
            if not name or (node != ANY_NODE and name != node):
                why = f"the node of this socket is {node}, and not {name or 'empty'}"
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, why)
            if node == ANY_NODE:
                await self._take(name, context)
            session = self._admit(name, form, link)
            await link.send(session.request(first))
            while isinstance(data := await _read(context), bytes):
                await link.send(session.request(parse(data)))
        except _GONE:
            return
        except MalformedRequest as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except asyncio.CancelledError:
            if link.ended is None or (task := asyncio.current_task()) is None:
                raise
            task.uncancel()
            await context.abort(*link.ended)
        finally:
            self._dismiss(name, link)

    async def _take(self, node: str, context: _Context) -> None:
        if not self._admission.take(node, time.monotonic()):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many new streams; retry")

    async def _first(self, context: _Context, parse: Callable[[bytes], Request]) -> Request:
        try:
            async with asyncio.timeout(self._settings.first_request_s):
                data = await _read(context)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no request came")
        if not isinstance(data, bytes):
            await context.abort(grpc.StatusCode.CANCELLED, "the stream has no request")
        return parse(data)

    def _admit(self, name: str, form: Form, link: _Link) -> Session:
        links = self._links.setdefault(name, [])
        links.append(link)
        for old in links[: -self._settings.streams_per_node_max]:
            old.end(grpc.StatusCode.RESOURCE_EXHAUSTED, "the node has newer streams")
        link.session = self._cache.connect(name, form, link.notify)
        return link.session

    def _dismiss(self, name: str, link: _Link) -> None:
        link.close()
        if link.session is not None:
            self._cache.disconnect(link.session)
        links = self._links.get(name, [])
        if link in links:
            links.remove(link)
        if not links:
            self._links.pop(name, None)
