"""The client of the push service: no attempt takes longer than the lease of its delivery."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from ops.waiting import scaled_s
from services.chassis.http_client import partner_session
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from services.notifications import partners
from services.notifications.partners import AccessTokens, PushClient
from services.notifications.settings import NotificationsSettings
from services.notifications.state import Outcome, Push
from tests.rigs.push_service import PROJECT, PushService, push_service

TOKEN = "POST /token"
ATTEMPT_S = 2.345
"""Long enough for all attempts to begin, and different from every other timeout."""
PUSHES = 12


@pytest_asyncio.fixture
async def fcm(tmp_path: Path) -> AsyncIterator[PushService]:
    async with push_service(tmp_path) as service:
        yield service


@pytest_asyncio.fixture
async def client(fcm: PushService, tmp_path: Path) -> AsyncIterator[PushClient]:
    settings = NotificationsSettings(
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
        create_time=utc_now(),
        attempts=0,
        lease_end=utc_now() + timedelta(minutes=1),
    )


class Limits:
    """Counts the timeouts of attempts that run at the same time."""

    def __init__(self) -> None:
        self._timeout = asyncio.timeout
        self.running = 0
        self.running_max = 0

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncGenerator[None]:
        """Behave like asyncio.timeout, and count the timeouts of attempts."""
        attempts = int(seconds == ATTEMPT_S)
        self.running += attempts
        self.running_max = max(self.running_max, self.running)
        try:
            async with self._timeout(seconds):
                yield
        finally:
            self.running -= attempts


async def test_attempts_that_wait_for_an_access_token_end_in_their_time_all_together(
    fcm: PushService, client: PushClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt's timeout started only after its wait for a token endpoint that hung. The last
    attempt outlasted its lease and repeated a push that another worker had sent."""
    limits = Limits()
    await fcm.fault(kind="hang", endpoint=TOKEN)
    with monkeypatch.context() as patched:
        patched.setattr(partners, "ATTEMPT_S", ATTEMPT_S)
        patched.setattr(asyncio, "timeout", limits.timeout)
        sends = [client.send(push(f"device-{number}")) for number in range(PUSHES)]
        attempts = await asyncio.wait_for(asyncio.gather(*sends), scaled_s(30))
    assert limits.running_max == PUSHES
    assert {attempt.outcome for attempt in attempts} == {Outcome.POSTPONED}
    await fcm.heal()
    monkeypatch.setattr(partners, "ATTEMPT_S", scaled_s(15))
    assert (await client.send(push("device-healed"))).outcome is Outcome.TAKEN
