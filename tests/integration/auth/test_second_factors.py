"""Which code counts: after a message that was not sent, and when the app names no method."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from sandbox.phone import SoftwareKey, encoded
from services.auth import totp
from services.auth.device_keys import Assertion, Registration, new_challenge, verify_registration
from services.auth.errors import OtpInvalid, OtpSendsExhausted
from services.auth.events_out import Prepared
from services.auth.factor_store import TotpConfirmation
from services.auth.handlers import biometric, codes, passwords
from services.auth.handlers.dependencies import Dependencies
from services.auth.partners.oauth import TokenProvider
from services.auth.partners.sms import SmsGateway
from services.auth.state import BiometricMethod, Device, OtpMethod, Purpose, Step
from services.auth.store import Store
from services.kernel.clock import utc_now
from services.kernel.errors import BankError, DependencyUnavailable
from tests.integration.auth.conftest import User, log_in, new_device
from tests.integration.auth.handling import NEW, Handling
from tests.integration.auth.one_answer import TOKENS, answering, oauth_account

CODE, WRONG, RECOVERY = "123456", "654321", "K4TQZ-7WMCA"
WITH_APP = (OtpMethod.TOTP, OtpMethod.SMS, OtpMethod.RECOVERY_CODE)
NO_NUMBER = {"error": {"code": "INVALID_NUMBER"}}


@pytest_asyncio.fixture
async def device(auth: Handling) -> Device:
    """A device of the customer that has a key, so no step needs the face service."""
    key = SoftwareKey(auth.deps.settings.web_domain, auth.deps.settings.web_origins[0])
    return await _device_with(auth, key)


async def _device_with(auth: Handling, key: SoftwareKey) -> Device:
    user, device = await auth.user(), new_device()
    await log_in(auth.deps.store, User(user.customer_id, user.email_index), device)
    stored = await auth.deps.store.device(user.customer_id, device.device_id)
    made = Registration(**asdict(key.register(encoded(bytes(32)))))
    known = verify_registration(made, bytes(32), auth.deps.settings)
    with_key = replace(stored, credential_id=known.credential_id, public_key=known.public_key)
    await auth.deps.store.set_key(with_key, [])
    return with_key


async def _closed_pool() -> asyncpg.Pool:
    """Return a pool without any connection."""
    pool = asyncpg.create_pool(host="/nonexistent", min_size=0)
    return await pool


@asynccontextmanager
async def _gateway(
    auth: Handling, folder: Path, status: int, body: Any = None
) -> AsyncGenerator[Dependencies]:
    """Yield auth with an SMS gateway that gives each message the same answer."""
    async with answering(folder, "/v1/messages", status, body) as session:
        yield replace(auth.deps, sms=SmsGateway(session, {"sender": "BP", "api_key": "key"}))


async def _verified(auth: Handling, session_id: str, code: str) -> None:
    await biometric.verify_otp(auth.deps, session_id, code, None, None)


# A message that was not sent


@pytest.mark.parametrize(
    ("status", "body"), [(503, None), (429, None), (422, NO_NUMBER)], ids=["503", "429", "number"]
)
async def test_the_code_that_arrived_is_right_after_a_further_one_was_refused(
    auth: Handling, device: Device, tmp_path: Path, status: int, body: Any
) -> None:
    session_id = await auth.waiting_for_code(CODE, device_id=device.device_id)
    async with _gateway(auth, tmp_path, status, body) as deps:
        with pytest.raises(BankError):
            await codes.resend(deps, session_id)
    await _verified(auth, session_id, CODE)


@pytest.mark.parametrize("has_database", [True, False])
async def test_a_code_that_arrived_is_right_after_a_reset_could_send_no_further_one(
    auth: Handling, tmp_path: Path, has_database: bool
) -> None:
    session_id = await auth.forgot()
    await auth.deps.background.drain(30)
    await auth.deps.codes.put(session_id, Purpose.RESET, CODE)
    before = (await auth.user()).password_hash
    session = await auth.deps.sessions.read(session_id)
    async with _gateway(auth, tmp_path, 503) as deps:
        if not has_database:
            deps = replace(deps, store=Store(await _closed_pool()))
        await codes.put_reset_code(deps, session_id, session)
        await deps.background.drain(30)
    await auth.reset(session_id, CODE)
    assert (await auth.user()).password_hash != before


async def test_a_further_code_that_was_sent_replaces_the_earlier_one(
    auth: Handling, device: Device, tmp_path: Path
) -> None:
    session_id = await auth.waiting_for_code(CODE, device_id=device.device_id)
    async with _gateway(auth, tmp_path, 202) as deps:
        await codes.resend(deps, session_id)
    with pytest.raises(OtpInvalid):
        await _verified(auth, session_id, CODE)


async def test_the_tries_of_a_code_count_after_a_refused_message(
    auth: Handling, device: Device, tmp_path: Path
) -> None:
    """Otherwise a caller gets new tries of the same code for each message that is refused."""
    session_id = await auth.waiting_for_code(CODE, device_id=device.device_id)
    async with _gateway(auth, tmp_path, 503) as deps:
        for _ in range(auth.deps.settings.otp_tries_max - 1):
            with pytest.raises(OtpInvalid):
                await _verified(auth, session_id, WRONG)
            with pytest.raises(DependencyUnavailable):
                await codes.resend(deps, session_id)
    with pytest.raises(OtpInvalid):
        await _verified(auth, session_id, WRONG)
    with pytest.raises(BankError) as refused:
        await _verified(auth, session_id, CODE)
    assert refused.value.reason == "LOGIN_SESSION_INVALID"


class _StoreWithoutEvents(Store):
    """A database that fails while a wrong try is recorded."""

    async def append(self, events: Sequence[Prepared]) -> None:
        raise ConnectionResetError


@pytest.mark.parametrize("purpose", [Purpose.LOGIN, Purpose.RESET])
async def test_the_last_wrong_try_ends_the_session_also_if_it_cannot_be_recorded(
    auth: Handling, device: Device, purpose: Purpose, pool: asyncpg.Pool
) -> None:
    """Otherwise the session gets a further code with tries of its own."""
    failing = replace(auth.deps, store=_StoreWithoutEvents(pool))
    if purpose is Purpose.LOGIN:
        session_id = await auth.waiting_for_code(CODE, device_id=device.device_id)
        enter = partial(biometric.verify_otp, failing, session_id, WRONG, None, None)
    else:
        session_id = await auth.forgot()
        await auth.deps.background.drain(30)
        await auth.deps.codes.put(session_id, purpose, CODE)
        enter = partial(passwords.reset_password, failing, session_id, WRONG, NEW)
    for _ in range(auth.deps.settings.otp_tries_max):
        with pytest.raises(ConnectionResetError):
            await enter()
    assert await auth.deps.sessions.find(session_id) is None


# A code without its method


async def test_after_a_text_message_its_code_is_the_default_of_a_customer_with_an_app(
    auth: Handling, device: Device, tmp_path: Path
) -> None:
    session_id = await auth.waiting_for_code(CODE, device_id=device.device_id, methods=WITH_APP)
    async with _gateway(auth, tmp_path, 202) as deps:
        sent, _ = await codes.resend(deps, session_id)
    assert sent.methods == (OtpMethod.SMS, OtpMethod.TOTP, OtpMethod.RECOVERY_CODE)
    assert sent == await auth.deps.sessions.read(session_id)
    await auth.deps.codes.put(session_id, Purpose.LOGIN, CODE)
    await _verified(auth, session_id, CODE)


async def test_the_app_stays_the_default_when_the_text_message_was_refused(
    auth: Handling, device: Device, tmp_path: Path
) -> None:
    session_id = await auth.waiting_for_code(CODE, device_id=device.device_id, methods=WITH_APP)
    async with _gateway(auth, tmp_path, 429) as deps:
        with pytest.raises(OtpSendsExhausted):
            await codes.resend(deps, session_id)
    assert (await auth.deps.sessions.read(session_id)).methods == WITH_APP


async def _recovery_codes(auth: Handling) -> None:
    """Give the customer an authenticator app whose only recovery code is RECOVERY."""
    customer_id = (await auth.user()).customer_id
    await auth.deps.store.start_totp(customer_id, "sealed", utc_now())
    digest = totp.recovery_digest(auth.deps.keys.code_key, customer_id, RECOVERY)
    assert digest is not None
    await auth.deps.store.confirm_totp(
        TotpConfirmation(customer_id, "sealed", 1, utc_now(), [digest], [])
    )


@pytest.mark.parametrize("typed", [RECOVERY, "k4tqz 7wmca"])
async def test_a_recovery_code_needs_no_method(auth: Handling, device: Device, typed: str) -> None:
    await _recovery_codes(auth)
    session_id = await auth.waiting_for_code(CODE, device_id=device.device_id, methods=WITH_APP)
    await _verified(auth, session_id, typed)
    session = await auth.deps.sessions.read(session_id)
    assert session.step is Step.AWAITING_BIOMETRIC


async def test_without_an_app_a_recovery_code_is_a_wrong_code(
    auth: Handling, device: Device
) -> None:
    session_id = await auth.waiting_for_code(CODE, device_id=device.device_id)
    with pytest.raises(OtpInvalid):
        await _verified(auth, session_id, RECOVERY)


# The answer of a completed login


async def test_the_answer_of_a_login_has_the_time_of_this_login(
    auth: Handling, tmp_path: Path
) -> None:
    key = SoftwareKey(auth.deps.settings.web_domain, auth.deps.settings.web_origins[0])
    device = await _device_with(auth, key)
    challenge, method = new_challenge(), BiometricMethod.DEVICE_KEY
    step = {"step": Step.AWAITING_BIOMETRIC, "biometric_method": method, "challenge": challenge}
    session_id = await auth.waiting_for_code(CODE, device_id=device.device_id, **step)
    signed = Assertion(**asdict(key.sign(encoded(challenge))))
    async with answering(tmp_path, "/token", 200, TOKENS) as session:
        deps = replace(auth.deps, provider=TokenProvider(session, oauth_account()))
        done = await biometric.verify_biometric(deps, session_id, signed, "")
    stored = await auth.deps.store.device(device.customer_id, device.device_id)
    assert stored.last_login_time > device.last_login_time
    assert done.device.last_login_time == stored.last_login_time
