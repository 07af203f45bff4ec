"""A small TLS server that takes the place of the bank and receives notices. No tests here."""

import hashlib
import hmac
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from ops.waiting import scaled_s
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

    def is_signed(self, secret: str) -> bool:
        """Return whether the signature is right and was made about now."""
        stamp, _, mark = self.signature.partition(",v1=")
        at = stamp.removeprefix("t=")
        content = at.encode() + b"." + self.body
        expected = hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, mark) and abs(self.at - int(at)) < scaled_s(30)


@dataclass(slots=True)
class Receiver:
    """Answers with the statuses of `script` in order, then with 200."""

    url: str
    header: str
    """The name of the signature header."""
    script: list[int] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Handle the POST of one notice."""
        signature = request.headers[self.header]
        peer: dict[str, Any] = request.get_extra_info("peercert") or {}
        body = await request.read()
        self.received.append(Received(body, signature, peer, time.time()))
        return web.Response(status=self.script.pop(0) if self.script else 200)


@asynccontextmanager
async def receiver(
    bank_certs: Path, client_ca: Path, partner: str = "ach"
) -> AsyncGenerator[Receiver]:
    """Serve a partner's webhook on a free port with the bank's certificate; callers need one from
    `client_ca`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(bank_certs / "oauth.pem", bank_certs / "oauth.key")
    port = free_port()
    path = f"/v1/webhooks/{partner}"
    bank = Receiver(f"https://127.0.0.1:{port}{path}", f"{partner.capitalize()}-Signature")
    app = web.Application()
    app.router.add_post(path, bank.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    try:
        yield bank
    finally:
        await runner.cleanup()
