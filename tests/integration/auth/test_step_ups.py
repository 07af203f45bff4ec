"""Step-ups: what a caller needs to begin one, what a refused one leaves, when one is invalid."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from typing import cast

import asyncpg
import pytest
import pytest_asyncio
from bp.auth.v1.auth_events_pb2 import AuthEvent
from structlog.testing import capture_logs

from sandbox.phone import RECOGNISED, Flags, SoftwareKey, encoded
from services.auth.charges import Recipient
from services.auth.device_keys import Assertion, Registration, new_challenge, verify_registration
from services.auth.errors import (
    DeviceTokenInvalid,
    LoginSessionInvalid,
    MethodUnavailable,
    OtpSendsExhausted,
)
from services.auth.handlers import biometric, login
from services.auth.handlers.caller import Caller
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import digest_of
from services.auth.partners.oauth import Subject, TokenProvider
from services.auth.partners.sms import NotAccepted, NumberRefused, SmsGateway
from services.auth.state import BiometricMethod, EndCause, Purpose, Step, TokenPair
from services.auth.store import Ending, NewDevice
from services.kernel.errors import BankError, DependencyUnavailable
from services.kernel.ids import new_id
from tests.integration.auth.conftest import PASSWORD_HASH, User, log_in, origin
from tests.integration.auth.handling import Handling
from tests.integration.auth.logins import new_pair, new_token

CODE = "123456"
SYNCED = RECOGNISED | Flags.BACKUP_ELIGIBLE


@dataclass
class Outside:
    """The SMS gateway and the provider. They answer at once."""

    texts: list[str] = field(default_factory=list)
    refusal: Exception | None = None
    """What the gateway answers instead of sending."""
    methods: tuple[str, ...] = ()
    """The references of the last exchange."""
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """What happens while the provider makes tokens."""

    async def send(self, to: str, text: str, key: str, ttl_s: int) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.texts.append(text)

    async def exchange(self, subject: Subject, *, with_refresh_token: bool) -> TokenPair:
        self.methods = subject.methods
        if self.meanwhile is not None:
            await self.meanwhile()
        return new_pair()


@dataclass
class Owner:
    """A customer who is logged in on a device with a key."""

    auth: Handling
    deps: Dependencies
    outside: Outside
    me: Caller
    device_token: str
    key: SoftwareKey

    async def other_device(self) -> str:
        """Log in on another device; return its token."""
        return (await _device(self.auth))[2]

    async def sessions(self) -> set[bytes]:
        """Return the keys of all login sessions."""
        keys = [key async for key in self.auth.logins.client.scan_iter("session:*")]
        return {key for key in keys if not key.startswith(b"session:step-up:")}

    async def awaiting_signature(self, flags: Flags = RECOGNISED) -> tuple[str, Assertion]:
        """Begin a step-up that waits for the key; return its id and the signature."""
        challenge = new_challenge()
        session_id = await self.auth.waiting_for_code(
            CODE,
            purpose=Purpose.STEP_UP,
            step=Step.AWAITING_BIOMETRIC,
            device_id=self.me.device_id,
            session_id=self.me.session_id,
            biometric_method=BiometricMethod.DEVICE_KEY,
            challenge=challenge,
        )
        return session_id, Assertion(**asdict(self.key.sign(encoded(challenge), flags)))


async def _device(auth: Handling) -> tuple[uuid.UUID, uuid.UUID, str]:
    """Log in on a new device; return the session, the device and its token."""
    user, token = await auth.user(), new_token()
    device = NewDevice(new_id(), "phone", digest_of(token))
    session_id, _ = await log_in(auth.deps.store, User(user.customer_id, user.email_index), device)
    return session_id, device.device_id, token


@pytest_asyncio.fixture
async def owner(auth: Handling) -> AsyncGenerator[Owner]:
    outside = Outside()
    deps = replace(auth.deps, sms=cast(SmsGateway, outside), provider=cast(TokenProvider, outside))
    session_id, device_id, token = await _device(auth)
    user = await auth.user()
    key = SoftwareKey(deps.settings.web_domain, deps.settings.web_origins[0])
    made = Registration(**asdict(key.register(encoded(bytes(32)))))
    known = verify_registration(made, bytes(32), deps.settings)
    stored = await deps.store.device(user.customer_id, device_id)
    with_key = replace(stored, credential_id=known.credential_id, public_key=known.public_key)
    await deps.store.set_key(with_key, [])
    me = Caller(user.customer_id, session_id, device_id)
    yield Owner(auth, deps, outside, me, token, key)


async def test_a_step_up_needs_the_device_token_of_its_session(owner: Owner) -> None:
    """With the access token alone, a thief would get one access token after the other."""
    for token in ("", new_token(), await owner.other_device()):
        with pytest.raises(DeviceTokenInvalid):
            await login.step_up(owner.deps, owner.me, token)
    assert not owner.outside.texts
    await login.step_up(owner.deps, owner.me, owner.device_token)
    assert len(owner.outside.texts) == 1


async def test_a_step_up_with_a_wrong_device_token_is_logged_and_published(
    owner: Owner, pool: asyncpg.Pool
) -> None:
    """The access token may be stolen. Of the calls of a day, few are reported."""
    with capture_logs() as logs:
        for _ in range(12):
            with pytest.raises(DeviceTokenInvalid):
                await login.step_up(owner.deps, owner.me, new_token())
    counts = [line["count_of_day"] for line in logs if line["event"] == "step_up.wrong_device"]
    assert counts == [1, 10]
    sql = "SELECT payload FROM auth.event WHERE key = $1 ORDER BY id"
    rows = await pool.fetch(sql, owner.me.customer_id)
    events = [AuthEvent.FromString(row["payload"]) for row in rows]
    failed = [one.login_failed for one in events if one.HasField("login_failed")]
    assert [one.reason for one in failed] == ["REFRESH_TOKEN_INVALID"] * 2


async def _use_up_codes(owner: Owner) -> None:
    user = await owner.auth.user()
    to = Recipient(
        *(user.phone_index, b"one prefix".ljust(32), Purpose.STEP_UP),
        device_id=owner.me.device_id,
        session_id=owner.me.session_id,
    )
    for _ in range(owner.deps.settings.otp_sends_per_number_max):
        await owner.deps.sends.admit(to)


REFUSALS: dict[type[BankError], Exception | None] = {
    OtpSendsExhausted: None,
    DependencyUnavailable: NotAccepted(),
    MethodUnavailable: NumberRefused(),
}
"""The answer of auth -> the answer of the SMS gateway; None when auth asks it for nothing."""


@pytest.mark.parametrize("refused", REFUSALS)
async def test_a_refused_step_up_leaves_no_login_session(
    owner: Owner, refused: type[BankError]
) -> None:
    """Otherwise each refused call would take memory of Valkey for five minutes."""
    owner.outside.refusal = REFUSALS[refused]
    if refused is OtpSendsExhausted:
        await _use_up_codes(owner)
    before = await owner.sessions()
    with pytest.raises(refused):
        await login.step_up(owner.deps, owner.me, owner.device_token)
    assert await owner.sessions() <= before


async def test_a_session_has_one_step_up_at_a_time(owner: Owner) -> None:
    first = await login.step_up(owner.deps, owner.me, owner.device_token)
    second = await login.step_up(owner.deps, owner.me, owner.device_token)
    with pytest.raises(LoginSessionInvalid):
        await owner.deps.sessions.read(first.login_session_id)
    assert await owner.deps.sessions.read(second.login_session_id) == second.session
    session_id, _, token = await _device(owner.auth)
    device = await owner.deps.store.device_by_token(digest_of(token))
    assert device is not None
    other = Caller(owner.me.customer_id, session_id, device.device_id)
    await login.step_up(owner.deps, other, token)
    assert await owner.deps.sessions.read(second.login_session_id) == second.session


async def test_a_refused_step_up_does_not_end_the_earlier_one(owner: Owner) -> None:
    first = await login.step_up(owner.deps, owner.me, owner.device_token)
    owner.outside.refusal = NotAccepted()
    with pytest.raises(DependencyUnavailable):
        await login.step_up(owner.deps, owner.me, owner.device_token)
    assert await owner.deps.sessions.read(first.login_session_id) == first.session


async def test_a_step_up_gives_no_token_if_the_password_changes_while_it_completes(
    owner: Owner,
) -> None:
    """The owner changes the password in the same session, which stays open."""

    async def change() -> None:
        user = await owner.auth.user()
        ending = Ending(
            user.customer_id, EndCause.PASSWORD_CHANGED, origin(), keep=owner.me.session_id
        )
        await owner.deps.store.change_password(PASSWORD_HASH, ending, user.login_epoch)

    session_id, signed = await owner.awaiting_signature()
    owner.outside.meanwhile = change
    with pytest.raises(LoginSessionInvalid):
        await biometric.verify_biometric(owner.deps, session_id, signed, "")
    owner.outside.meanwhile = None
    with pytest.raises(LoginSessionInvalid):
        await biometric.verify_biometric(owner.deps, session_id, signed, "")
    session_id, signed = await owner.awaiting_signature()
    await biometric.verify_biometric(owner.deps, session_id, signed, "")


@pytest.mark.parametrize(
    ("flags", "reference"),
    [(RECOGNISED, "hwk"), (SYNCED, "swk"), (SYNCED | Flags.BACKED_UP, "swk")],
)
async def test_a_token_says_whether_hardware_binds_the_key(
    owner: Owner, flags: Flags, reference: str
) -> None:
    session_id, signed = await owner.awaiting_signature(flags)
    await biometric.verify_biometric(owner.deps, session_id, signed, "")
    assert owner.outside.methods == (reference, "mfa")
