"""A small TLS server that takes the place of the bank and receives notices. No tests here."""

import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from tests.contract.partners.processes import free_port


@dataclass(slots=True)
class Received:
    """One delivery: raw body, signature header, the caller's certificate, time of arrival."""

    body: bytes
    signature: str
    peer: dict[str, Any]
    at: float
    """Seconds since the epoch."""

    @property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        return orjson.loads(self.body)


@dataclass(slots=True)
class Receiver:
    """Answers with the statuses of `script` in order, then with 200."""

    url: str
    script: list[int] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Handle the POST of one notice."""
        signature = request.headers["Ach-Signature"]
        peer: dict[str, Any] = request.get_extra_info("peercert") or {}
        body = await request.read()
        self.received.append(Received(body, signature, peer, time.time()))
        return web.Response(status=self.script.pop(0) if self.script else 200)


@asynccontextmanager
async def receiver(bank_certs: Path, client_ca: Path) -> AsyncGenerator[Receiver]:
    """Serve on a free port with the bank's certificate; callers need one from `client_ca`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(bank_certs / "oauth.pem", bank_certs / "oauth.key")
    port = free_port()
    bank = Receiver(f"https://127.0.0.1:{port}/v1/webhooks/ach")
    app = web.Application()
    app.router.add_post("/v1/webhooks/ach", bank.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield bank
    finally:
        await runner.cleanup()
