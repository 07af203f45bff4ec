"""Calls that an app may repeat, each with what must be true after it. No tests here."""

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import asyncpg
from bp.auth.v1.auth_events_pb2 import AuthEvent
from pyotp.totp import TOTP

from sandbox.phone import SoftwareKey, encoded
from sandbox.seed import people
from services.auth import totp as app_codes
from services.auth.codes import Verdict
from services.auth.device_keys import Assertion, Registration, new_challenge
from services.auth.errors import (
    CurrentPasswordInvalid,
    OtpResendTooSoon,
    TotpAlreadyEnrolled,
    TotpNotEnrolled,
)
from services.auth.factor_store import TotpConfirmation
from services.auth.handlers import biometric, codes, devices, passwords, tokens, totp
from services.auth.handlers.caller import Caller
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import digest_of
from services.auth.partners.oauth import Subject
from services.auth.passwords import prehash
from services.auth.refresh import token_digest
from services.auth.sealing import Field
from services.auth.state import BiometricMethod, Device, OtpMethod, Purpose, Step
from services.auth.store import NewDevice
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.integration.auth.conftest import User, log_in
from tests.integration.auth.handling import NEW, Handling, call_from
from tests.integration.auth.logins import App, customer_session, new_token
from tests.rigs.login_partners import LoginPartners

CODE = "123456"
Again = Callable[[], Awaitable[object]]
ONCE = ("device_added", "factor_added", "login_succeeded", "password_changed")
"""Events that report one step of a customer, so a repeated call must not report it again."""


@dataclass
class Bank:
    """Auth with a customer who has a device with a key."""

    auth: Handling
    deps: Dependencies
    outside: LoginPartners
    pool: asyncpg.Pool
    key: SoftwareKey
    device: Device
    device_token: str

    def me(self) -> Caller:
        """A caller with a session of its own, which is not stored."""
        return Caller(self.device.customer_id, uuid.uuid4(), self.device.device_id)

    async def events(self) -> Counter[str]:
        """How many events of each kind the customer has."""
        sql = "SELECT payload FROM auth.event WHERE key = $1"
        rows = await self.pool.fetch(sql, self.device.customer_id)
        kinds = [AuthEvent.FromString(row["payload"]).WhichOneof("event") for row in rows]
        return Counter(str(kind) for kind in kinds)


async def bank_with_a_key(auth: Handling, outside: LoginPartners, pool: asyncpg.Pool) -> Bank:
    """Let the customer log in with a device, and give the device a key."""
    deps, settings = auth.deps, auth.deps.settings
    key = SoftwareKey(settings.web_domain, settings.web_origins[0])
    user, token = await auth.user(), new_token()
    device = NewDevice(new_id(), "phone", digest_of(token))
    await log_in(deps.store, User(user.customer_id, user.email_index), device)
    stored = await deps.store.device(user.customer_id, device.device_id)
    made = Bank(auth, deps, outside, pool, key, stored, token)
    await (await registration(made, key))()
    made.device = await deps.store.device(user.customer_id, device.device_id)
    return made


async def registration(bank: Bank, key: SoftwareKey | None = None) -> Again:
    """A new key of the device replaces the one before."""
    me = bank.me()
    options = await devices.create_device_key_challenge(bank.deps, me)
    new = key or SoftwareKey(bank.key.rp_id, bank.key.origin)
    made = Registration(**asdict(new.register(options.challenge)))
    return lambda: devices.register_device_key(bank.deps, me, made)


async def _text_message_code(bank: Bank) -> Again:
    """A code by text message; then the face is wanted."""
    session_id = await bank.auth.waiting_for_code(CODE)
    checks = await bank.outside.liveness_checks()

    async def call() -> None:
        wanted = await biometric.verify_otp(bank.deps, session_id, CODE, None, None)
        assert wanted.session.liveness_session_id
        assert await bank.outside.liveness_checks() == checks + 1, "AWS charges for each"

    return call


async def enrolled(bank: Bank, secret: str, digests: list[bytes]) -> None:
    """Give the customer a new authenticator app that was never used."""
    customer_id, store = bank.device.customer_id, bank.deps.store
    with suppress(TotpNotEnrolled):
        await store.remove_totp(customer_id, [])
    sealed = await bank.deps.sealer.seal(customer_id, Field.TOTP_SECRET, secret)
    await store.start_totp(customer_id, sealed, utc_now())
    await store.confirm_totp(TotpConfirmation(customer_id, sealed, 1, utc_now(), digests, []))


async def _second_factor(bank: Bank, method: OtpMethod, code: str) -> Again:
    session_id = await bank.auth.waiting_for_code(
        CODE, methods=(method,), device_id=bank.device.device_id
    )
    return lambda: biometric.verify_otp(bank.deps, session_id, code, None, None)


async def recovery_code(bank: Bank) -> Again:
    customer_id, code = bank.device.customer_id, app_codes.new_recovery_codes()[0]
    digest = app_codes.recovery_digest(bank.deps.keys.code_key, customer_id, code)
    assert digest is not None
    await enrolled(bank, app_codes.new_secret(), [digest])
    return await _second_factor(bank, OtpMethod.RECOVERY_CODE, code)


async def _code_of_an_app(bank: Bank) -> Again:
    secret = app_codes.new_secret()
    await enrolled(bank, secret, [])
    return await _second_factor(bank, OtpMethod.TOTP, TOTP(secret).now())


async def _confirmation_of_an_app(bank: Bank) -> Again:
    """The first code of an authenticator app. Only the first answer has the recovery codes."""
    customer_id, me = bank.device.customer_id, bank.me()
    with suppress(TotpNotEnrolled):
        await bank.deps.store.remove_totp(customer_id, [])
    code = TOTP((await totp.enrol_totp(bank.deps, me)).secret).now()
    call_from(uuid.uuid4())

    async def call() -> None:
        with suppress(TotpAlreadyEnrolled):
            await totp.confirm_totp(bank.deps, me, code)
        user = await bank.auth.user()
        assert user.has_totp

    return call


async def _device_key(bank: Bank) -> Again:
    """The last step of a login, with a signature."""
    challenge = new_challenge()
    session_id = await bank.auth.waiting_for_code(
        CODE,
        step=Step.AWAITING_BIOMETRIC,
        device_id=bank.device.device_id,
        biometric_method=BiometricMethod.DEVICE_KEY,
        challenge=challenge,
    )
    signed = Assertion(**asdict(bank.key.sign(encoded(challenge))))
    before = await bank.outside.grants()

    async def call() -> None:
        done = await biometric.verify_biometric(bank.deps, session_id, signed, "")
        assert await bank.outside.grants() == before + 1
        # The grant that lives is the one of these tokens.
        await bank.deps.provider.refresh(done.pair.refresh_token)

    return call


async def _change(bank: Bank) -> Again:
    """A new password. The current one is no longer right when a call that was done is repeated."""
    user, first = await bank.auth.user(), people.password(bank.auth.person.user_name)
    is_first = await _has_password(bank, first)
    current, new = (first, NEW) if is_first else (NEW, first)
    known = User(user.customer_id, user.email_index)
    session_id, _ = await log_in(bank.deps.store, known, bank.device.device_id)
    call_from(uuid.uuid4())
    me = Caller(user.customer_id, session_id, bank.device.device_id)

    async def call() -> None:
        with suppress(CurrentPasswordInvalid):
            await passwords.change_password(bank.deps, me, current, new)
        assert await _has_password(bank, new)

    return call


async def _has_password(bank: Bank, password: str) -> bool:
    user, pool = await bank.auth.user(), bank.deps.passwords
    prehashed = prehash(bank.deps.keys.password_key, password)
    return await pool.verify(prehashed, user.password_hash, known_account=b"")


async def _reset(bank: Bank) -> Again:
    session_id = await bank.auth.forgot()
    await bank.deps.background.drain(30)
    await bank.deps.codes.put(session_id, Purpose.RESET, CODE)
    return lambda: passwords.reset_password(bank.deps, session_id, CODE, NEW)


async def _refresh(bank: Bank) -> Again:
    user = await bank.auth.user()
    known = User(user.customer_id, user.email_index)
    session_id, _ = await log_in(bank.deps.store, known, bank.device.device_id)
    session = replace(customer_session(), session_id=session_id, customer_id=user.customer_id)
    subject = Subject(user.customer_id, session_id, session.device_id, ("pwd", "otp"), utc_now())
    pair = await bank.deps.provider.exchange(subject, with_refresh_token=True)
    app = await App(bank.auth.logins, session, token=pair.refresh_token).log_in()

    async def call() -> None:
        await tokens.refresh_tokens(bank.deps, app.token, app.device_token)
        lease = f"refresh:{token_digest(app.token)}:lease"
        assert not await bank.auth.logins.client.exists(lease)

    return call


async def _resend(bank: Bank) -> Again:
    """The code that is valid is the one of the last message."""
    session_id = await bank.auth.waiting_for_code(
        CODE, purpose=Purpose.STEP_UP, session_id=uuid.uuid4(), device_id=bank.device.device_id
    )
    before = len(await bank.outside.texts())

    async def call() -> None:
        try:
            await codes.resend(bank.deps, session_id)
        except OtpResendTooSoon:
            pass  # the call that was interrupted has sent it
        finally:
            arrived = (await bank.outside.texts())[before:] or [CODE]
            words = arrived[-1].replace(":", " ").split()
            code = next(word for word in words if word[:6].isdigit())
            verdict = await bank.deps.codes.check(session_id, Purpose.STEP_UP, code[:6])
            assert verdict is Verdict.RIGHT

    return call


CALLS: dict[Callable[[Bank], Awaitable[Again]], tuple[str, ...]] = {
    registration: ("factor_added",),
    _text_message_code: (),
    recovery_code: (),
    _code_of_an_app: (),
    _confirmation_of_an_app: ("factor_added",),
    _device_key: ("login_succeeded",),
    _change: ("password_changed",),
    _reset: ("password_changed",),
    _refresh: (),
    _resend: (),
}
"""Each call with the events of ONCE that it writes."""
