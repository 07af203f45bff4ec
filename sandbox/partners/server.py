"""Runs a partner's process: a TLS server for its clients, a Unix socket for its control API.

The control API can mint any customer's token. Only the same operating-system user may connect.
The control server is bound last, so an answer to `GET /healthz` means that both servers listen.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import uvloop
from aiohttp import web

from sandbox.partners.settings import PartnerSettings, SettingsT, TlsSettings, load

REQUEST_BYTES_MAX = 64 * 1024
BACKLOG = 1024
UMASK = 0o077
"""Only the partner's own user can open the files and sockets that it creates."""
SOCKET_MODE = 0o600
GC_OBJECTS = 20_000
"""New objects between two runs of the cycle collector; the partners share the bank's cores."""


@dataclass(slots=True)
class Partner:
    """A built partner: its public app, its control app, background tasks and closing functions."""

    app: web.Application
    control: web.Application
    background: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    closers: list[Callable[[], None]] = field(default_factory=list)


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON response."""
    return web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type="application/json"
    )


def server_context(tls: TlsSettings) -> ssl.SSLContext:
    """Return a context for TLS 1.2 and 1.3; with `client_ca` a client certificate is required."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.cert, tls.key)
    context.set_alpn_protocols(["http/1.1"])
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls.client_ca)
    return context


def main(name: str, kind: type[SettingsT], build: Callable[[SettingsT], Partner]) -> None:
    """Process entry of a partner: read `--config FILE.json`, serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog=f"sandbox.partners.{name}")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see settings.py")
    settings = load(kind, parser.parse_args().config)
    os.umask(UMASK)

    async def run() -> None:
        # Built inside the loop, because partners hold asyncio queues and events.
        partner = build(settings)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_OBJECTS, 20, 50)
        await serve(settings, partner)

    uvloop.run(run())


async def serve(settings: PartnerSettings, partner: Partner) -> None:
    """Bind both servers, run the background tasks, and shut down gracefully on a signal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = [_started(work) for work in partner.background]
    public, control = _runner(partner.app), _runner(partner.control)
    try:
        await public.setup()
        context = server_context(settings.tls)
        await web.TCPSite(
            public, settings.host, settings.port, ssl_context=context, backlog=BACKLOG
        ).start()
        await control.setup()
        listener = _bound(settings.control_socket)
        await web.SockSite(control, listener, backlog=BACKLOG).start()
        await _first_of(stop, tasks)
    finally:
        await public.cleanup()
        await control.cleanup()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for close in partner.closers:
            close()


def _bound(path: Path) -> socket.socket:
    """Bind a Unix socket whose file has mode 0600 from the start. No other thread creates files."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener


def _started(work: Callable[[], Awaitable[None]]) -> asyncio.Future[None]:
    return asyncio.ensure_future(work())


def _runner(app: web.Application) -> web.AppRunner:
    return web.AppRunner(app, access_log=None, shutdown_timeout=1.0)


async def _first_of(stop: asyncio.Event, tasks: list[asyncio.Future[None]]) -> None:
    """Wait for the signal; a background task that fails ends the process with its error."""
    waiting = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        for task in done:
            task.result()
