"""The OAuth provider answers in another form than OAuth's: no token, and no defect of the bank."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from joserfc.jwk import ECKey

from services.auth.partners.oauth import TokenProvider
from services.kernel.errors import DependencyUnavailable

RIGHT = {"token_type": "Bearer", "access_token": "a", "refresh_token": "r", "expires_in": 600}
WRONG: list[Any] = [
    None,
    [],
    "tokens",
    {},
    {**RIGHT, "token_type": "mac"},
    {**RIGHT, "token_type": ["Bearer"]},
    {**RIGHT, "access_token": ""},
    {**RIGHT, "access_token": {"a": 1}},
    {**RIGHT, "refresh_token": ""},
    {**RIGHT, "refresh_token": None},
    {**RIGHT, "expires_in": 0},
    {**RIGHT, "expires_in": "600"},
    {**RIGHT, "expires_in": 10**12},
]


@asynccontextmanager
async def _provider(folder: Path, status: int, body: Any) -> AsyncGenerator[TokenProvider]:
    """Yield auth's client of a provider whose only answer is `body`."""

    async def token(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_post("/token", token)
    runner, socket = web.AppRunner(app), str(folder / "provider.sock")
    await runner.setup()
    await web.UnixSite(runner, socket).start()
    account = {
        "client_id": "bp-auth",
        "issuer": "https://oauth.example",
        "audience": "bp",
        "private_key": ECKey.generate_key("P-256").as_pem(private=True).decode(),
        "key_id": "one",
    }
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session:
        yield TokenProvider(session, account)
    await runner.cleanup()


async def test_the_right_form_is_a_pair_of_tokens(tmp_path: Path) -> None:
    async with _provider(tmp_path, 200, RIGHT) as provider:
        pair = await provider.refresh("old")
    assert (pair.access_token, pair.refresh_token, pair.expires_in_s) == ("a", "r", 600)


@pytest.mark.parametrize("body", WRONG)
async def test_an_answer_of_another_form_is_an_outage(tmp_path: Path, body: Any) -> None:
    async with _provider(tmp_path, 200, body) as provider:
        with pytest.raises(DependencyUnavailable):
            await provider.refresh("old")


@pytest.mark.parametrize("status", [201, 204, 302, 404, 418, 429, 500])
async def test_tokens_with_another_status_are_an_outage(tmp_path: Path, status: int) -> None:
    async with _provider(tmp_path, status, RIGHT) as provider:
        with pytest.raises(DependencyUnavailable):
            await provider.refresh("old")


@pytest.mark.parametrize("body", [{"error": 5}, {"error": []}, {"error": "x" * 300}, []])
async def test_a_malformed_refusal_does_not_end_the_session(tmp_path: Path, body: Any) -> None:
    async with _provider(tmp_path, 400, body) as provider:
        with pytest.raises(DependencyUnavailable):
            await provider.refresh("old")
