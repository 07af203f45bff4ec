"""An answer that a partner's protocol does not define is logged with its status, never its body."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from structlog.testing import capture_logs

from services.chassis.http_client import partner_session
from services.notifications.partners import AccessTokens, PushClient
from services.notifications.state import Push
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from tests.rigs import outside
from tests.rigs.push_service import service_account
from tests.unit.notifications.test_push_answers import PUSH
from tests.unit.payments.orders import order, transfer

SECRET = "4111 1111 1111 1111"
Call = Callable[[aiohttp.ClientSession, Path], Awaitable[Any]]


class _Partners:
    """Answers every path alike, except with a token at the token endpoint if a test wants it."""

    def __init__(self) -> None:
        self.status = 200
        self.text = ""
        self.grants = True

    async def answer(self, request: web.Request) -> web.Response:
        """Return the answer."""
        if request.path == "/token" and self.grants:
            return web.json_response({"access_token": "granted", "expires_in": 3600})
        return web.Response(status=self.status, text=self.text)


async def _ach(session: aiohttp.ClientSession, _: Path) -> None:
    await AchClient(session, session, "key").submit(transfer())


async def _query(session: aiohttp.ClientSession, _: Path) -> None:
    await AchClient(session, session, "key").query(transfer())


async def _recall(session: aiohttp.ClientSession, _: Path) -> None:
    await AchClient(session, session, "key").recall(transfer())


async def _directory(session: aiohttp.ClientSession, _: Path) -> None:
    await AchClient(session, session, "key").takes_part("021000021")


async def _fraud(session: aiohttp.ClientSession, _: Path) -> None:
    await FraudClient(session, "token").score(order())


async def _push(session: aiohttp.ClientSession, folder: Path) -> None:
    push: Push = PUSH
    tokens = AccessTokens(session, service_account(folder))
    await PushClient(session, tokens, "project").send(push)


CALLS: dict[str, tuple[str, str, Call]] = {
    "submit": ("ach", "submit", _ach),
    "query": ("ach", "query", _query),
    "recall": ("ach", "recall", _recall),
    "directory": ("ach", "directory", _directory),
    "score": ("fraud", "score", _fraud),
    "send": ("push", "send", _push),
    "token": ("push", "token", _push),
}
ANSWERS = {
    "401": (401, f'{{"error": {{"code": "UNAUTHORIZED", "card": "{SECRET}"}}}}'),
    "403": (403, f'{{"error": "{SECRET}"}}'),
    "500": (500, SECRET),
    "unreadable": (200, f"<html>{SECRET}</html>"),
    "other": (200, f'["{SECRET}"]'),
}


@pytest_asyncio.fixture
async def partners(tmp_path: Path) -> AsyncGenerator[_Partners]:
    found = _Partners()
    async with outside.serving(tmp_path, {outside.EVERY_PATH: found.answer}):
        yield found


@pytest_asyncio.fixture
async def session(tmp_path: Path) -> AsyncGenerator[aiohttp.ClientSession]:
    async with partner_session(outside.settings_of(tmp_path)) as one:
        yield one


# The directory answers only with a status, so it has no answer of any other form.
CASES = [(call, one) for call in CALLS for one in ANSWERS if (call, one) != ("directory", "other")]


@pytest.mark.parametrize(("call", "answer"), CASES)
async def test_an_unexpected_answer_is_logged_once_with_its_status_and_without_its_body(
    partners: _Partners, session: aiohttp.ClientSession, tmp_path: Path, call: str, answer: str
) -> None:
    partner, name, make = CALLS[call]
    partners.status, partners.text = ANSWERS[answer]
    partners.grants = call != "token"
    with capture_logs() as logs:
        await make(session, tmp_path)
    assert logs == [
        {
            "event": f"{partner}.unexpected_answer",
            "log_level": "warning",
            "call": name,
            "status": partners.status,
        }
    ]
    assert SECRET not in repr(logs)


@pytest.mark.parametrize("call", [name for name in CALLS if name not in {"token"}])
async def test_a_missing_answer_is_logged_as_such(tmp_path: Path, call: str) -> None:
    partner, name, make = CALLS[call]
    connector = aiohttp.UnixConnector(path=str(tmp_path / "nobody"))
    async with aiohttp.ClientSession(connector=connector) as session:
        with capture_logs() as logs:
            await make(session, tmp_path)
    assert [(line["event"], line["call"]) for line in logs] == [(f"{partner}.no_answer", name)]
