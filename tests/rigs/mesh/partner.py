"""A partner over TLS that fails as a test's script says and records its requests."""

import asyncio
from collections import deque
from pathlib import Path

from aiohttp import web

from tests.rigs.mesh.tls import server_context

OK = "ok"
HANG = "hang"
RESET = "reset"
HOLD = "hold"


class Partner:
    """Answers each request with the next step of `script`, or with 200 when it is empty."""

    def __init__(self) -> None:
        self.script: deque[str | int] = deque()
        self.keys: list[str] = []
        self.clients: list[str] = []
        self.hosts: list[str] = []
        self.release = asyncio.Event()
        """Ends the wait of the requests whose step is HOLD."""
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, folder: Path, client_ca: Path | None = None) -> None:
        """Start the server; with `client_ca`, accept only clients with a certificate from it."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        context = server_context(folder, client_ca)
        await web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=context).start()

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    def told(self, *script: str | int) -> None:
        """Set the script and clear the recorded requests."""
        self.script = deque(script)
        self.keys.clear()
        self.clients.clear()
        self.hosts.clear()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        self.hosts.append(request.host)
        transport = request.transport
        peer = transport.get_extra_info("peercert") if transport else None
        self.clients.append(str(peer["subject"][0][0][1]) if peer else "")
        step = self.script.popleft() if self.script else OK
        if step == HANG:
            await asyncio.sleep(3600)
        if step == HOLD:
            await self.release.wait()
        if step == RESET and transport is not None:
            transport.abort()
        return web.json_response({}, status=step if isinstance(step, int) else 200)
