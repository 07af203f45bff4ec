"""The clearing house's client on a real socket: what it does not wait for, and what it logs."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from structlog.testing import capture_logs

from ops.waiting import scaled_s
from services.chassis.http_client import partner_session
from services.payments.partners import ach
from services.payments.partners.ach import AchClient
from services.payments.saga import Outcome
from tests.rigs import outside
from tests.unit.payments.orders import transfer

ROUTING_NUMBER = "021000021"


class _House:
    """A clearing house whose directory hangs and that refuses the bank's API key."""

    def __init__(self) -> None:
        self.ends = asyncio.Event()

    async def participants(self, _request: web.Request) -> web.Response:
        """Do not answer before the end of the test."""
        await self.ends.wait()
        return web.json_response({}, status=404)

    async def refuse(self, _request: web.Request) -> web.Response:
        """Answer that the key is not valid."""
        return web.json_response({"error": {"code": "UNAUTHORIZED"}}, status=401)


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncGenerator[AchClient]:
    house = _House()
    routes = {"/ach/participants/{routing}": house.participants, "/ach/transfer": house.refuse}
    async with (
        outside.serving(tmp_path, routes),
        partner_session(outside.settings_of(tmp_path)) as session,
    ):
        yield AchClient(session, session, "expired")
        house.ends.set()


async def test_nobody_waits_for_a_directory_that_hangs(
    client: AchClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ach, "DIRECTORY_WITHIN_S", 0.05)
    with capture_logs() as logs:
        assert await asyncio.wait_for(client.takes_part(ROUTING_NUMBER), scaled_s(10))
    assert [entry["event"] for entry in logs] == ["ach.directory_silent"]


async def test_an_answer_that_the_protocol_does_not_have_is_logged(client: AchClient) -> None:
    with capture_logs() as logs:
        answer = await client.submit(transfer())
    assert answer.outcome is Outcome.NO_ANSWER
    assert [(one["event"], one["status"]) for one in logs] == [("ach.unexpected_answer", 401)]
