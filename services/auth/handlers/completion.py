"""The end of a login: the tokens are fetched, then the session is stored."""

import secrets
import uuid
from dataclasses import replace
from datetime import datetime, timedelta

from services.auth import events_out
from services.auth.errors import DeviceNotFound, LoginSessionInvalid, SessionNotFound
from services.auth.handlers import tokens
from services.auth.handlers.caller import origin
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import digest_of
from services.auth.handlers.undoing import undone_on_failure
from services.auth.partners.oauth import Subject
from services.auth.results import LoggedIn
from services.auth.state import (
    DEFAULT_DEVICE_NAME,
    Device,
    Factor,
    KeyUse,
    LoginSession,
    Purpose,
    Session,
    User,
)
from services.auth.store import Completed, NewDevice
from services.kernel.ids import new_id, shard_of

METHODS = {
    Factor.PASSWORD: "pwd",
    Factor.SMS_CODE: "sms",
    Factor.AUTHENTICATOR_APP: "otp",
    Factor.RECOVERY_CODES: "otp",
    Factor.DEVICE_KEYS: "hwk",
    Factor.FACE_PICTURE: "face",
}
"""Factor -> authentication method reference of RFC 8176."""
SYNCED_KEY = "swk"
"""The reference of a device key that may be on several devices, so hardware does not bind it."""
DEVICE_TOKEN_BYTES = 32


async def complete(
    deps: Dependencies,
    session: LoginSession,
    user: User,
    device_name: str,
    key_use: KeyUse | None,
) -> LoggedIn:
    """Fetch the tokens and store the session.

    A caller that hangs up must not cancel it: a grant of the provider would remain.

    Raises DependencyUnavailable and LoginSessionInvalid, and AssertionInvalid when another login
    with the same key completed at the same time.

    A login or step-up that began before the password changed, or before an operator ended the
    sessions, is invalid. The store checks this again when it writes the login.
    """
    if user.login_epoch != session.login_epoch:
        raise LoginSessionInvalid
    if session.purpose is Purpose.STEP_UP:
        return await _stepped_up(deps, session, user, key_use)
    now = origin()
    device, device_token = await _device(deps, session, user, device_name, now.time)
    made = _made(deps, device, now.time)
    methods = _methods(session, key_use)
    subject = Subject(user.customer_id, made.session_id, device.device_id, methods, now.time)
    pair = await deps.provider.exchange(subject, with_refresh_token=True)
    done = replace(
        _completed(deps, session, made, device, is_new=bool(device_token), now=now),
        key_use=key_use,
    )
    async with undone_on_failure(
        lambda: deps.ended_grants.end(made.session_id, pair.refresh_token)
    ):
        # Before the row: without a row, the family is a token that no caller has, and upkeep.py
        # ends it. Without the family, the row would be a session that cannot be refreshed.
        await deps.families.create(made, device.token_hash, pair.refresh_token)
        surplus = await deps.store.complete_login(done)
    # The login is complete: a failure here must not be its answer, because a repeated call would
    # begin a second session. What fails is left to the reconciliation of upkeep.py.
    ended = [each.session_id for each in surplus]
    deps.background.start("withdraw_surplus", tokens.withdraw(deps, ended))
    return LoggedIn(pair, device.shown(), device_token)


def _made(deps: Dependencies, device: Device, now: datetime) -> Session:
    return Session(
        session_id=new_id(shard_of(device.customer_id)),
        customer_id=device.customer_id,
        device_id=device.device_id,
        device_name=device.device_name,
        create_time=now,
        refresh_time=now,
        expire_time=now + timedelta(days=deps.settings.session_days),
    )


def _completed(
    deps: Dependencies,
    session: LoginSession,
    made: Session,
    device: Device,
    *,
    is_new: bool,
    now: events_out.Origin,
) -> Completed:
    customer_id, device_id = made.customer_id, device.device_id
    done = events_out.login_succeeded(now, customer_id, made.session_id, device_id, session.factors)
    added = events_out.device_added(now, customer_id, device_id, device.device_name)
    new_device = NewDevice(device_id, device.device_name, device.token_hash)
    return Completed(
        customer_id=customer_id,
        device=new_device if is_new else device_id,
        session_id=made.session_id,
        expire_time=made.expire_time,
        login_epoch=session.login_epoch,
        sessions_max=deps.settings.sessions_per_customer_max,
        origin=now,
        events=[added, done] if is_new else [done],
    )


async def _device(
    deps: Dependencies, session: LoginSession, user: User, name: str, now: datetime
) -> tuple[Device, str]:
    """Return the known device and "", or a new one with its secret."""
    if session.device_id is not None:
        known = await _known(deps, user, session.device_id)
        # As the store notes it, when the login is written.
        last = max(known.last_login_time, now)
        return replace(known, last_login_time=last), ""
    secret = secrets.token_urlsafe(DEVICE_TOKEN_BYTES)
    device = Device(
        device_id=new_id(shard_of(user.customer_id)),
        customer_id=user.customer_id,
        device_name=name or DEFAULT_DEVICE_NAME,
        token_hash=digest_of(secret),
        credential_id=b"",
        public_key=b"",
        sign_count=0,
        create_time=now,
        last_login_time=now,
    )
    return device, secret


async def _known(deps: Dependencies, user: User, device_id: uuid.UUID) -> Device:
    """Return a known device; raise LoginSessionInvalid if it was removed meanwhile."""
    try:
        return await deps.store.device(user.customer_id, device_id)
    except DeviceNotFound:
        raise LoginSessionInvalid from None


async def _stepped_up(
    deps: Dependencies, session: LoginSession, user: User, key_use: KeyUse | None
) -> LoggedIn:
    """Fetch an access token whose second factor is recent; the refresh token stays the same."""
    if session.session_id is None or session.device_id is None:
        raise LoginSessionInvalid
    now = origin()
    device = await _known(deps, user, session.device_id)
    # The session may have ended since the step-up began.
    try:
        await deps.store.session(user.customer_id, session.session_id, now.time)
    except SessionNotFound:
        raise LoginSessionInvalid from None
    methods, session_id = _methods(session, key_use), session.session_id
    subject = Subject(user.customer_id, session_id, device.device_id, methods, now.time)
    pair = await deps.provider.exchange(subject, with_refresh_token=False)
    # A password that the session itself changed meanwhile leaves the session open.
    current = await deps.store.user(user.customer_id)
    if current is None or current.login_epoch != session.login_epoch:
        raise LoginSessionInvalid
    if key_use is not None:
        await deps.store.use_key(key_use)
    return LoggedIn(pair, device.shown(), "")


def _methods(session: LoginSession, key_use: KeyUse | None) -> tuple[str, ...]:
    """Return the references of the factors, in their order."""
    key = SYNCED_KEY if key_use is not None and key_use.is_synced else METHODS[Factor.DEVICE_KEYS]
    references = {**METHODS, Factor.DEVICE_KEYS: key}
    return (*dict.fromkeys(references[factor] for factor in session.factors), "mfa")
