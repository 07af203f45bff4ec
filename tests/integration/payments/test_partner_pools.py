"""Requests that hang at one partner do not use up the connections of the others."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from ops.waiting import scaled_s, until
from services.chassis import http_client
from services.payments.bootstrap import open_partners
from services.payments.checks import Decision
from tests.rigs import outside
from tests.unit.payments.orders import order, transfer

CONNECTIONS = 2
"""Few connections for a session, so that the requests of the test use them up."""


@dataclass
class _Partners:
    """A clearing house that hangs and a fraud service that answers, behind one socket."""

    waiting: int = 0
    ends: asyncio.Event = field(default_factory=asyncio.Event)

    async def hang(self, _request: web.Request) -> web.Response:
        """Do not answer until the test ends."""
        self.waiting += 1
        await self.ends.wait()
        return web.json_response({})

    async def approve(self, _request: web.Request) -> web.Response:
        """Approve every transaction."""
        return web.json_response({"decision": "APPROVE", "score": 1})


@pytest_asyncio.fixture
async def partners(tmp_path: Path) -> AsyncGenerator[_Partners]:
    found = _Partners()
    routes = {"/ach/transfer": found.hang, "/v1/score": found.approve}
    async with outside.serving(tmp_path, routes):
        yield found
        found.ends.set()


async def test_a_clearing_house_that_hangs_takes_no_connection_from_the_fraud_service(
    partners: _Partners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "CONNECTIONS_MAX", CONNECTIONS)
    settings = outside.settings_of(tmp_path)

    async def all_are_taken() -> bool:
        return partners.waiting == CONNECTIONS

    async with open_partners(settings, "key", "token") as (ach, fraud):
        hanging = [asyncio.create_task(ach.submit(transfer())) for _ in range(2 * CONNECTIONS)]
        await until(all_are_taken, 20, "the clearing house hangs")
        score = await asyncio.wait_for(fraud.score(order()), scaled_s(10))
        partners.ends.set()
        await asyncio.gather(*hanging)
    assert score.decision is Decision.APPROVE
