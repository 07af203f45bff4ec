"""Handlers of auth over real stores: callers that hang up, and devices that are not their own."""

import asyncio
import secrets
import threading
import uuid
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio
from bp.auth.v1.auth_events_pb2 import AuthEvent, Factor
from structlog.testing import capture_logs

from services.auth.counters import Tries
from services.auth.errors import RefreshTokenInvalid, TriesExhausted
from services.auth.handlers import login, tokens
from services.auth.handlers.dependencies import Dependencies, Keys
from services.auth.handlers.factors import attempt_of
from services.auth.hashers import Hasher
from services.auth.password_pool import PasswordPool, QueueLimits
from services.auth.state import Factor as Tried
from services.auth.store import Store
from services.auth.throttle import RULES, Scope
from services.chassis.call_context import Call, current_call
from services.kernel.clock import utc_now
from tests.integration.auth.logins import App, Logins, new_token, opened
from tests.rigs.stores import ValkeyStore

ACCOUNT, DEVICE = b"a" * 32, uuid.UUID(int=5)


class WatchedPool(PasswordPool):
    """A pool that says when a call has come to it."""

    def __init__(self, logins: Logins) -> None:
        super().__init__(4, 2, QueueLimits(64, 60))
        self.logins = logins
        self.reached = asyncio.Event()

    async def verify(self, prehashed: bytes, stored: bytes, *, known_account: bytes) -> bool:
        """Do the same as the service's pool."""
        self.reached.set()
        return await super().verify(prehashed, stored, known_account=known_account)


@pytest_asyncio.fixture
async def deps(valkey: ValkeyStore, store: Store) -> AsyncGenerator[Dependencies]:
    """The dependencies of these handlers, with counters of their own."""
    async with opened(valkey) as logins:
        passwords = WatchedPool(logins)
        parts = SimpleNamespace(
            tries=Tries(logins.client, secrets.token_bytes(32)),
            keys=Keys(secrets.token_bytes(32), secrets.token_bytes(32)),
            passwords=passwords,
            families=logins.families,
            store=store,
        )
        yield cast("Dependencies", parts)
        passwords.close()


@pytest.fixture
def gate(deps: Dependencies, monkeypatch: pytest.MonkeyPatch) -> Generator[threading.Event]:
    """Stop each hash in its thread until the test ends."""
    opened = threading.Event()

    def verify(_: Hasher, _password: bytes, _stored: bytes) -> bool:
        return not opened.wait(60)

    monkeypatch.setattr(Hasher, "verify", verify)
    yield opened
    opened.set()


@contextmanager
def _call_from(address: str) -> Generator[None]:
    call = Call("/", "gateway", "", frozenset(), "", "r", "", {}, utc_now(), client_address=address)
    token = current_call.set(call)
    try:
        yield
    finally:
        current_call.reset(token)


async def _hang_up(
    deps: Dependencies,
    account: bytes,
    device_id: uuid.UUID | None = None,
    session_id: uuid.UUID | None = None,
) -> None:
    """Send a password, and leave when it waits for its hash."""
    attempt = attempt_of(account, None, device_id, Tried.PASSWORD, session_id=session_id)
    reached = cast("WatchedPool", deps.passwords).reached
    reached.clear()
    call = asyncio.create_task(login.require_password(deps, attempt, "a password"))
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait({call, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if call.done():
        call.result()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.usefixtures("gate")
async def test_an_address_that_hangs_up_during_the_hashes_is_locked(deps: Dependencies) -> None:
    """Otherwise it fills the queue of passwords with no limit, and owners get RATE_LIMITED."""
    with _call_from("198.51.100.20"):
        for number in range(RULES[Scope.ADDRESS].free):
            await _hang_up(deps, number.to_bytes(32, "big"))
        with pytest.raises(TriesExhausted):
            await _hang_up(deps, ACCOUNT)


@pytest.mark.usefixtures("gate")
async def test_hang_ups_of_strangers_use_up_no_tries_of_the_account(deps: Dependencies) -> None:
    with _call_from(""):
        for _ in range(3 * RULES[Scope.STRANGERS].free):
            await _hang_up(deps, ACCOUNT)


@pytest.mark.usefixtures("gate")
@pytest.mark.parametrize("session_id", [None, uuid.UUID(int=6)], ids=["device", "access token"])
async def test_a_known_device_or_session_that_hangs_up_during_the_hashes_is_locked(
    deps: Dependencies, session_id: uuid.UUID | None
) -> None:
    """Otherwise it fills the queue with no limit, also the places of other known devices."""
    with _call_from("198.51.100.22"):
        for _ in range(RULES[Scope.DEVICE].free):
            await _hang_up(deps, ACCOUNT, DEVICE, session_id)
        with pytest.raises(TriesExhausted):
            await _hang_up(deps, ACCOUNT, DEVICE, session_id)
        await _hang_up(deps, ACCOUNT, uuid.UUID(int=8))


async def _refused_refreshes(deps: Dependencies, token: str, count: int) -> list[Any]:
    """Present a token with wrong device tokens; return what auth logs."""
    with capture_logs() as logs, _call_from("198.51.100.21"):
        for _ in range(count):
            with pytest.raises(RefreshTokenInvalid):
                await tokens.refresh_tokens(deps, token, new_token())
    return [line for line in logs if line["event"] == "refresh.wrong_device"]


async def _failures(pool: asyncpg.Pool, customer_id: uuid.UUID) -> list[AuthEvent]:
    sql = "SELECT payload FROM auth.event WHERE key = $1 ORDER BY id"
    return [AuthEvent.FromString(row["payload"]) for row in await pool.fetch(sql, customer_id)]


async def test_a_refresh_token_on_another_device_is_logged_and_published(
    deps: Dependencies, pool: asyncpg.Pool
) -> None:
    """It may be stolen. The 1st, 10th, 100th of a day are reported, because a thief may repeat."""
    app = await App(cast("WatchedPool", deps.passwords).logins).log_in()
    logs = await _refused_refreshes(deps, app.token, 12)
    assert [line["count_of_day"] for line in logs] == [1, 10]
    assert {line["session_id"] for line in logs} == {str(app.session.session_id)}
    assert not any(secret in repr(logs) for secret in (app.token, app.device_token))
    failed = [one.login_failed for one in await _failures(pool, app.session.customer_id)]
    assert [(one.factor, one.reason, one.refused_before) for one in failed] == [
        (Factor.REFRESH_TOKEN, "REFRESH_TOKEN_INVALID", 0),
        (Factor.REFRESH_TOKEN, "REFRESH_TOKEN_INVALID", 8),
    ]


async def test_an_unknown_refresh_token_is_not_reported(deps: Dependencies) -> None:
    assert await _refused_refreshes(deps, new_token(), 2) == []
