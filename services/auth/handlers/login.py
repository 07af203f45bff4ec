"""The first factor: the password. Known and unknown addresses cost the same work."""

import hmac
import uuid
from datetime import timedelta

from services.auth.emails import EmailInvalid, canonical
from services.auth.errors import CredentialsInvalid, DeviceNotFound, DeviceTokenInvalid
from services.auth.handlers import codes, tokens
from services.auth.handlers.caller import Caller
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import (
    Attempt,
    attempt_of,
    digest_of,
    may_be_secret,
    right,
    undecided,
    wrong,
)
from services.auth.handlers.undoing import completed, undone_on_failure
from services.auth.passwords import prehash
from services.auth.refresh import Family
from services.auth.results import Started
from services.auth.state import (
    LOGIN,
    Device,
    Factor,
    LoginSession,
    OtpMethod,
    Purpose,
    User,
)
from services.auth.throttle import Subject
from services.kernel.clock import utc_now
from services.kernel.errors import Unauthenticated


async def login(deps: Dependencies, email: str, password: str, device_token: str) -> Started:
    """Check the password and begin a login session.

    Raises CredentialsInvalid, TriesExhausted, OtpSendsExhausted, MethodUnavailable, RateLimited and
    DependencyUnavailable.
    """
    # A presented device token may be one of a known device, which has places of its own. Other
    # texts must not cost statements while the queue is full.
    deps.passwords.require_place(is_known=may_be_secret(device_token))
    index = email_index(deps, email)
    user = await deps.store.user_by_email(index)
    device = await known_device(deps, user, device_token)
    deps.passwords.require_place(is_known=device is not None)
    attempt = attempt_of(index, user, device.device_id if device else None, Factor.PASSWORD)
    await require_password(deps, attempt, password)
    if user is None:
        raise CredentialsInvalid
    return await begin(deps, user, purpose=Purpose.LOGIN, device=device)


def email_index(deps: Dependencies, email: str) -> bytes:
    """Return the blind index of an address; that of no customer for a malformed one."""
    try:
        return deps.sealer.email_index(canonical(email))
    except EmailInvalid:
        return deps.sealer.email_index(f"malformed {email}")


async def known_device(deps: Dependencies, user: User | None, device_token: str) -> Device | None:
    """Return the customer's device with this token; the statement also runs for unknown ones."""
    device = await deps.store.device_by_token(digest_of(device_token))
    is_own = device is not None and user is not None and device.customer_id == user.customer_id
    return device if is_own else None


async def require_password(deps: Dependencies, attempt: Attempt, password: str) -> None:
    """Compare a password; raise TriesExhausted, CredentialsInvalid and RateLimited.

    A hash of another cost is replaced after the answer.
    """
    user = attempt.user
    prehashed = prehash(deps.keys.password_key, password)
    account = attempt.subject.account
    stored = user.password_hash if user else deps.passwords.dummies.hash_for(account)
    async with undecided(deps, attempt):
        known_account = account if _is_known(attempt.subject) else b""
        is_right = await deps.passwords.verify(prehashed, stored, known_account=known_account)
    if not is_right or user is None:
        error = CredentialsInvalid()
        await wrong(deps, attempt, error)
        raise error
    await right(deps, attempt)
    if deps.passwords.needs_rehash(stored):
        deps.background.start("rehash", _rehash(deps, user, prehashed))


def _is_known(subject: Subject) -> bool:
    """Return whether the caller proved a device or a session before the password."""
    return subject.device_id is not None or subject.session_id is not None


async def _rehash(deps: Dependencies, user: User, prehashed: bytes) -> None:
    """Replace the hash, unless the password was changed since. The login does not wait for it."""
    fresh = await deps.passwords.hash(prehashed, user.email_index)
    await deps.store.rehash(user.customer_id, user.password_hash, fresh)


async def begin(
    deps: Dependencies,
    user: User,
    *,
    purpose: Purpose,
    device: Device | None,
    session_id: uuid.UUID | None = None,
) -> Started:
    """Begin a login session, and send its code unless an authenticator app makes it.

    A refused caller does not learn the id of the session, so the session is deleted.

    Raises OtpSendsExhausted, MethodUnavailable for a number that gets no messages, and
    DependencyUnavailable.
    """
    methods = methods_of(user)
    session = LoginSession(
        purpose=purpose,
        step=LOGIN.initial,
        customer_id=user.customer_id,
        expire_time=utc_now() + timedelta(seconds=deps.settings.login_session_s),
        login_epoch=user.login_epoch,
        methods=methods,
        device_id=device.device_id if device else None,
        session_id=session_id,
        factors=(Factor.PASSWORD,) if purpose is Purpose.LOGIN else (),
    )
    login_session_id = await deps.sessions.begin(session)
    if methods[0] is not OtpMethod.SMS:
        return Started(login_session_id, session, "")
    async with undone_on_failure(lambda: deps.sessions.forget(login_session_id)):
        session, phone_hint = await codes.send(deps, login_session_id, session, user)
    return Started(login_session_id, session, phone_hint)


async def step_up(deps: Dependencies, me: Caller, device_token: str) -> Started:
    """Begin the second and third factor again for a customer who is logged in.

    It ends the earlier step-up of the session, so a session has one at a time.

    Raises DeviceNotFound for an access token of no device, DeviceTokenInvalid for the device token
    of another device, and the errors of `begin`.
    """
    user = await deps.store.user(me.customer_id)
    if user is None:
        raise Unauthenticated
    if me.device_id is None:
        raise DeviceNotFound
    device = await deps.store.device(me.customer_id, me.device_id)
    if not hmac.compare_digest(device.token_hash, digest_of(device_token)):
        family = Family(me.session_id, me.customer_id, me.device_id)
        await tokens.note_wrong_device(deps, family, "step_up.wrong_device")
        raise DeviceTokenInvalid
    return await completed(_only_step_up(deps, user, device, me.session_id))


async def _only_step_up(
    deps: Dependencies, user: User, device: Device, session_id: uuid.UUID
) -> Started:
    """Begin a step-up and end the session's earlier one. A hang-up between the two would leave
    both."""
    purpose = Purpose.STEP_UP
    started = await begin(deps, user, purpose=purpose, device=device, session_id=session_id)
    await deps.sessions.end_earlier_step_up(session_id, started.login_session_id)
    return started


async def resend_otp(deps: Dependencies, login_session_id: str) -> Started:
    """Send another code for a login session; see codes.resend."""
    session, phone_hint = await codes.resend(deps, login_session_id)
    return Started(login_session_id, session, phone_hint)


def methods_of(user: User) -> tuple[OtpMethod, ...]:
    """Return the second factors that a customer has, the default first."""
    app = (OtpMethod.TOTP, OtpMethod.SMS, OtpMethod.RECOVERY_CODE)
    return app if user.has_totp else (OtpMethod.SMS,)
