"""The client of the push service on FCM's sandbox: no attempt outlasts its delivery's lease."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from services.chassis.http_client import partner_session
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from services.notifications import partners
from services.notifications.partners import AccessTokens, PushClient
from services.notifications.settings import Settings
from services.notifications.state import Outcome, Push
from tests.integration.events.push_service import PROJECT, PushService, push_service

TOKEN = "POST /token"
ATTEMPT_S = 0.3
PUSHES = 12


@pytest_asyncio.fixture
async def fcm(tmp_path: Path) -> AsyncIterator[PushService]:
    async with push_service(tmp_path) as service:
        yield service


@pytest_asyncio.fixture
async def client(fcm: PushService, tmp_path: Path) -> AsyncIterator[PushClient]:
    settings = Settings(
        home=tmp_path,
        socket_in=tmp_path,
        socket_out=fcm.socket,
        openbao_addr="",
        service_account_token_file=tmp_path,
    )
    async with partner_session(settings) as session:
        yield PushClient(session, AccessTokens(session, fcm.account), PROJECT)


def push(device: str) -> Push:
    return Push(
        notification_id=new_id(),
        device=device,
        event_id=str(new_id()),
        template="TRANSFER_SENT",
        title="Dinero enviado",
        body="Enviaste 1,00 USD.",
        transfer_id=str(new_id()),
        attempts=0,
        lease_end=utc_now() + timedelta(minutes=1),
    )


async def test_attempts_that_wait_for_an_access_token_end_in_their_time_all_together(
    fcm: PushService, client: PushClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other they waited out a token endpoint that hangs: the last one's lease was
    long over, and it sent what somebody else had claimed and sent."""
    monkeypatch.setattr(partners, "ATTEMPT_S", ATTEMPT_S)
    await fcm.fault(kind="hang", endpoint=TOKEN)
    sends = [client.send(push(f"device-{number}")) for number in range(PUSHES)]
    attempts = await asyncio.wait_for(asyncio.gather(*sends), ATTEMPT_S * PUSHES / 2)
    assert {attempt.outcome for attempt in attempts} == {Outcome.POSTPONED}
    await fcm.heal()
    assert (await client.send(push("device-healed"))).outcome is Outcome.TAKEN
