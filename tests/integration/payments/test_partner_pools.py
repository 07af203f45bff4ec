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
from services.payments.partners import ach as ach_client
from services.payments.saga import Outcome
from tests.rigs import outside
from tests.unit.payments.orders import order, transfer

CONNECTIONS = 2
"""Few connections for a session, so that the requests of the test use them up."""
BANKS = ("021000021", "011000015", "121000358", "091000022")


@dataclass
class _Partners:
    """A clearing house whose submissions and directory hang, and a fraud service that answers."""

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

    async def cancel(self, _request: web.Request) -> web.Response:
        """Cancel every transfer."""
        return web.json_response({"state": "CANCELLED"})


@pytest_asyncio.fixture
async def partners(tmp_path: Path) -> AsyncGenerator[_Partners]:
    found = _Partners()
    routes = {
        "/ach/transfer": found.hang,
        "/ach/transfer/cancel": found.cancel,
        "/ach/participants/{routing_number}": found.hang,
        "/v1/score": found.approve,
    }
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


async def test_a_directory_that_hangs_takes_no_connection_from_submissions(
    partners: _Partners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "CONNECTIONS_MAX", CONNECTIONS)
    monkeypatch.setattr(ach_client, "DIRECTORY_WITHIN_S", scaled_s(60))
    settings = outside.settings_of(tmp_path)

    async def all_are_taken() -> bool:
        return partners.waiting == CONNECTIONS

    async with open_partners(settings, "key", "token") as (client, _):
        hanging = [asyncio.create_task(client.takes_part(bank)) for bank in BANKS]
        await until(all_are_taken, 20, "the directory hangs")
        answer = await asyncio.wait_for(client.recall(transfer()), scaled_s(10))
        partners.ends.set()
        await asyncio.gather(*hanging)
    assert answer.outcome is Outcome.RECALLED
