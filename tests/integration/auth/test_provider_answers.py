"""The OAuth provider answers in another form than OAuth's: no token, and no defect of the bank."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from services.auth.partners.oauth import Subject, TokenProvider
from services.kernel.clock import utc_now
from services.kernel.errors import DependencyUnavailable
from tests.integration.auth.one_answer import TOKENS, oauth_account

RIGHT = TOKENS
SUBJECT = Subject(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), ("pwd", "otp"), utc_now())
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
    {**RIGHT, "expires_in": 601},
]


@asynccontextmanager
async def _provider(
    folder: Path, status: int, body: Any, revoked: list[str] | None = None
) -> AsyncGenerator[TokenProvider]:
    """Yield auth's client of a provider whose only answer is `body`; `revoked` gets the refresh
    tokens whose grants auth ends."""

    async def token(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    async def revoke(request: web.Request) -> web.Response:
        if revoked is not None:
            revoked.append(str((await request.post())["token"]))
        return web.Response()

    app = web.Application()
    app.router.add_post("/token", token)
    app.router.add_post("/revoke", revoke)
    runner, socket = web.AppRunner(app), str(folder / "provider.sock")
    await runner.setup()
    await web.UnixSite(runner, socket).start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session:
        yield TokenProvider(session, oauth_account())
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


async def test_a_token_that_outlives_the_end_of_its_session_is_an_error_in_the_log(
    tmp_path: Path,
) -> None:
    """The services forget ended sessions earlier. Only an operator of the provider can repair it;
    auth's own token has no session."""
    async with _provider(tmp_path, 200, {**RIGHT, "expires_in": 3600}) as provider:
        with capture_logs() as logs, pytest.raises(DependencyUnavailable):
            await provider.exchange(SUBJECT, with_refresh_token=True)
    (logged,) = logs
    assert logged["log_level"] == "error"
    assert (logged["event"], logged["life_s_max"]) == ("oauth.token_lives_too_long", 600)


async def test_tokens_that_auth_cannot_use_leave_no_grant_at_the_provider(tmp_path: Path) -> None:
    revoked: list[str] = []
    async with _provider(tmp_path, 200, {**RIGHT, "expires_in": 3600}, revoked) as provider:
        with pytest.raises(DependencyUnavailable):
            await provider.exchange(SUBJECT, with_refresh_token=True)
    assert revoked == ["r"]


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
