"""Login sessions in Valkey: a login, a step-up or a reset in progress, for five minutes.

The id is a secret of the app. Its SHA-256 names the key, so a look into Valkey gives no usable id.
Valkey's clock alone ends a session, and no step extends it. A session that Valkey lost is invalid.
"""

import hashlib
import secrets
import uuid
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import orjson
from redis.asyncio import Redis

from services.auth.errors import LoginSessionInvalid
from services.auth.scripts import load_script
from services.auth.settings import AuthSettings
from services.auth.state import (
    LOGIN,
    BiometricMethod,
    Factor,
    LoginSession,
    OtpMethod,
    Progress,
    Purpose,
    Step,
)
from services.kernel.state_table import IllegalTransition

ID_BYTES = 32
"""256 random bits, so an id cannot be guessed."""
OWNER_BYTES = 16
"""Enough that no two calls have the same owner."""

_LAST_STEPS = LOGIN.terminal()
_REFUSED = {
    Step.COMPLETING: Progress.TOKENS_REFUSED,
    Step.REPLACING: Progress.PASSWORD_REFUSED,
}
"""The steps that one call owns, and what takes a session back from them."""
_STEPS_WITH_CODE = (Step.AWAITING_OTP, Step.REPLACING)
"""The steps in which a code may still be needed. A reset that fails needs it again."""


class LoginSessions:
    """The login sessions of all processes."""

    def __init__(self, valkey: Redis, settings: AuthSettings) -> None:
        """Do not connect yet."""
        self._valkey = valkey
        self._life_ms = settings.login_session_s * 1000
        self._advance = load_script(valkey, "advance_login")

    async def begin(self, session: LoginSession) -> str:
        """Store a new session and return its id, 43 characters of base64url.

        A login never continues under an id that a caller chose, so no session can be planted.
        """
        session_id = secrets.token_urlsafe(ID_BYTES)
        key = session_key(session_digest(session_id))
        await self._valkey.set(key, encode(session), px=self._life_ms)
        return session_id

    async def forget(self, session_id: str) -> None:
        """Delete a session and its code, whatever its step is."""
        await self._valkey.delete(*_keys(session_id))

    async def end_earlier_step_up(self, customer_session: uuid.UUID, session_id: str) -> None:
        """Delete the step-up that the customer's session began before this one.

        So the step-ups that one access token begins do not fill Valkey.
        """
        key, digest = f"session:step-up:{customer_session}", session_digest(session_id)
        earlier = await self._valkey.set(key, digest, px=self._life_ms, get=True)
        if earlier is not None:
            stale = cast(bytes, earlier).decode()
            await self._valkey.delete(session_key(stale), code_key(stale))

    async def read(self, session_id: str) -> LoginSession:
        """Return the session; LoginSessionInvalid for an unknown, expired or forged id."""
        return decode(await self._raw(session_id))

    async def find(self, session_id: str) -> LoginSession | None:
        """Return the session like `read`; None instead of LoginSessionInvalid."""
        with suppress(LoginSessionInvalid):
            return await self.read(session_id)
        return None

    async def advance(self, session_id: str, before: LoginSession, after: LoginSession) -> None:
        """Replace `before` by `after`. A session that becomes COMPLETED or ENDED is deleted.

        When the session leaves the steps with a code, the code is deleted too. So a code is used in
        the same instant in which the session accepts it.

        Raises LoginSessionInvalid when the session has ended or is no longer `before`, and
        IllegalTransition when state.LOGIN has no such step.
        """
        require_step(before.step, after.step)
        stored = await self._raw(session_id)
        if decode(stored) != before:
            raise LoginSessionInvalid
        # A newer version's fields, which this version does not know, stay as they are.
        value = b"" if after.step in _LAST_STEPS else encode(after, orjson.loads(stored))
        uses_code = int(after.step not in _STEPS_WITH_CODE)
        if not await self._advance(keys=_keys(session_id), args=[stored, value, uses_code]):
            raise LoginSessionInvalid

    async def spend(self, session_id: str, session: LoginSession) -> None:
        """End a session whose tries are used up. Does nothing if another call changed it."""
        with suppress(LoginSessionInvalid):
            await self.advance(session_id, session, advanced(session, Progress.TRIES_SPENT))

    async def take_back(self, session_id: str, after: LoginSession, before: LoginSession) -> None:
        """Undo an advance. A session that another call has changed meanwhile stays as it is."""
        with suppress(LoginSessionInvalid):
            await self.advance(session_id, after, before)

    async def give_back(self, session_id: str, owner: bytes) -> None:
        """Take a session back to the step before, if the call with this `owner` has moved it.

        Does nothing when another call has moved it, and when it has ended.
        """
        with suppress(LoginSessionInvalid):
            taken = await self.read(session_id)
            if taken.owner == owner:
                back = advanced(taken, _REFUSED[taken.step], owner=b"")
                await self.advance(session_id, taken, back)

    async def _raw(self, session_id: str) -> bytes:
        stored = await self._valkey.get(session_key(session_digest(session_id)))
        if stored is None:
            raise LoginSessionInvalid
        return cast(bytes, stored)


def session_digest(session_id: str) -> str:
    """Return the SHA-256 of a session id, 64 hexadecimal digits."""
    return hashlib.sha256(session_id.encode()).hexdigest()


def session_key(digest: str) -> str:
    """Return the key of a session in Valkey."""
    return f"session:{digest}"


def code_key(digest: str) -> str:
    """Return the key of a session's code in Valkey."""
    return f"otp:{digest}"


def require_step(before: Step, after: Step) -> None:
    """Raise IllegalTransition unless state.LOGIN leads from one step to the other.

    A session that waits may change without a step: another code was sent, for example.
    """
    if before is after and before not in _LAST_STEPS:
        return
    if after not in {LOGIN.next(before, p) for p in Progress if LOGIN.allows(before, p)}:
        raise IllegalTransition(f"{before.name} does not lead to {after.name}")


def advanced(session: LoginSession, progress: Progress, **changes: Any) -> LoginSession:
    """Return the session after a progress, with other fields changed too.

    Raises IllegalTransition when the session's step has no such progress.
    """
    return replace(session, step=LOGIN.next(session.step, progress), **changes)


def encode(session: LoginSession, unknown: Mapping[str, Any] | None = None) -> bytes:
    """Return the session as JSON, with the fields of `unknown` that this version does not know."""
    document = {
        **(unknown or {}),
        "purpose": session.purpose.name,
        "step": session.step.name,
        "customer_id": session.customer_id,
        "expire_time": session.expire_time,
        "account": b64encode(session.account).decode(),
        "login_epoch": session.login_epoch,
        "methods": [method.name for method in session.methods],
        "device_id": session.device_id,
        "session_id": session.session_id,
        "factors": [factor.name for factor in session.factors],
        "biometric_method": session.biometric_method and session.biometric_method.name,
        "challenge": b64encode(session.challenge).decode(),
        "liveness_session_id": session.liveness_session_id,
        "liveness_begin_time": session.liveness_begin_time,
        "liveness_checks": session.liveness_checks,
        "face_checks": session.face_checks,
        "otp_digest": b64encode(session.otp_digest).decode(),
        "owner": b64encode(session.owner).decode(),
        "sends": session.sends,
        "next_send_time": session.next_send_time,
    }
    # orjson refuses the driver's subclass of UUID.
    return orjson.dumps(document, default=str)


def decode(value: bytes) -> LoginSession:
    """Return the session of its JSON; fields that this version does not know are ignored.

    Raises LoginSessionInvalid when this version does not know the session's step, purpose or
    method: a newer version began it, and the caller logs in again.
    """
    fields = orjson.loads(value)
    biometric = fields.get("biometric_method")
    try:
        return LoginSession(
            purpose=Purpose[fields["purpose"]],
            step=Step[fields["step"]],
            customer_id=_uuid(fields.get("customer_id")),
            expire_time=datetime.fromisoformat(fields["expire_time"]),
            account=b64decode(fields.get("account", "")),
            login_epoch=fields.get("login_epoch", 0),
            methods=tuple(OtpMethod[name] for name in fields.get("methods", ())),
            device_id=_uuid(fields.get("device_id")),
            session_id=_uuid(fields.get("session_id")),
            factors=tuple(Factor[name] for name in fields.get("factors", ())),
            biometric_method=BiometricMethod[biometric] if biometric else None,
            challenge=b64decode(fields.get("challenge", "")),
            liveness_session_id=fields.get("liveness_session_id", ""),
            liveness_begin_time=_time(fields.get("liveness_begin_time")),
            liveness_checks=fields.get("liveness_checks", 0),
            face_checks=fields.get("face_checks", 0),
            otp_digest=b64decode(fields.get("otp_digest", "")),
            owner=b64decode(fields.get("owner", "")),
            sends=fields.get("sends", 0),
            next_send_time=_time(fields.get("next_send_time")),
        )
    except KeyError as error:
        raise LoginSessionInvalid from error


def _keys(session_id: str) -> list[str]:
    digest = session_digest(session_id)
    return [session_key(digest), code_key(digest)]


def _uuid(text: str | None) -> uuid.UUID | None:
    return uuid.UUID(text) if text else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
