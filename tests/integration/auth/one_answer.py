"""A partner of auth that gives each request the same answer, at a socket of its own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from joserfc.jwk import ECKey

TOKENS = {"token_type": "Bearer", "access_token": "a", "refresh_token": "r", "expires_in": 600}
"""What the OAuth provider answers to an exchange."""


def oauth_account() -> dict[str, str]:
    """Return a secret `external/oauth-login` with a new key."""
    return {
        "client_id": "bp-auth",
        "issuer": "https://oauth.example",
        "audience": "bp",
        "private_key": ECKey.generate_key("P-256").as_pem(private=True).decode(),
        "key_id": "one",
    }


@asynccontextmanager
async def answering(
    folder: Path, path: str, status: int, body: Any = None
) -> AsyncGenerator[aiohttp.ClientSession]:
    """Yield a client session whose POST to `path` gets the answer, a JSON body with a status."""

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body or {}, status=status)

    app = web.Application()
    app.router.add_post(path, answer)
    runner, socket = web.AppRunner(app), str(folder / f"{status}.sock")
    await runner.setup()
    await web.UnixSite(runner, socket).start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session:
        yield session
    await runner.cleanup()
