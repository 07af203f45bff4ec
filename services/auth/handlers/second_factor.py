"""The second factor: a code is compared, and the login session accepts it."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from services.auth import totp
from services.auth.codes import Verdict
from services.auth.errors import LoginSessionInvalid, MethodUnavailable, OtpInvalid
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import Attempt, attempt_of, right, undecided, wrong
from services.auth.handlers.undoing import Undo, completed, undone_on_failure
from services.auth.polling import polled
from services.auth.sealing import Field
from services.auth.state import (
    LOGIN,
    Factor,
    LoginSession,
    OtpMethod,
    Progress,
    Purpose,
    Step,
    User,
)
from services.kernel.clock import utc_now

ACCEPTED_WITHIN_S = 2.0
"""How long a call whose code is used up waits for a parallel call that used it. That call only has
to save the session."""
Third = Callable[[LoginSession], LoginSession]
"""Returns a session, whose code was right, as it waits for its third factor."""
FACTORS = {
    OtpMethod.SMS: Factor.SMS_CODE,
    OtpMethod.TOTP: Factor.AUTHENTICATOR_APP,
    OtpMethod.RECOVERY_CODE: Factor.RECOVERY_CODES,
}


@dataclass(frozen=True, slots=True)
class Entered:
    """A code that the customer typed."""

    method: OtpMethod
    code: str = field(repr=False)


def method_of(session: LoginSession, code: str) -> OtpMethod:
    """Return the method of a code whose app named none."""
    has_recovery_codes = OtpMethod.RECOVERY_CODE in session.methods
    if has_recovery_codes and totp.is_recovery_code(code):
        return OtpMethod.RECOVERY_CODE
    return session.methods[0]


async def accept_code(
    deps: Dependencies,
    login_session_id: str,
    session: LoginSession,
    entered: Entered,
    third: Third,
) -> LoginSession:
    """Check the code of a session's second factor; return the session as it waits for its third.

    The code is used up only if the session accepts it. The session of a parallel call with the same
    code is returned too, because an app repeated a slow call.

    Raises OtpInvalid, TriesExhausted, LoginSessionInvalid and MethodUnavailable.
    """
    user = await deps.store.user(session.customer_id) if session.customer_id else None
    if user is None:
        raise LoginSessionInvalid
    if entered.method not in session.methods:
        raise MethodUnavailable
    factor = FACTORS[entered.method]
    attempt = attempt_of(
        user.email_index, user, session.device_id, factor, session_id=session.session_id
    )
    digest = otp_digest(deps.keys.code_key, login_session_id, entered.code)

    def after(session: LoginSession) -> LoginSession:
        return third(replace(_after_code(session, factor), otp_digest=digest))

    async with undecided(deps, attempt):
        result = await _result(deps, login_session_id, session, user, entered, after)
    # Not above: a code that stays SPENT is a wrong try, also if the session ends meanwhile.
    if result is Verdict.SPENT:
        result = await _accepted_by_another(deps, login_session_id, digest)
    if isinstance(result, LoginSession):
        await right(deps, attempt)
        return result
    raise await refusal(deps, attempt, login_session_id, session, result)


async def refusal(
    deps: Dependencies,
    attempt: Attempt,
    login_session_id: str,
    session: LoginSession,
    result: LoginSession | Verdict,
) -> OtpInvalid:
    """Count a code that is not right, and return the error of its call.

    The last wrong try ends the session, also if the try cannot be recorded.
    """
    error = OtpInvalid()
    try:
        await wrong(deps, attempt, error)
    finally:
        # Not for SPENT: a parallel call with the right code may still need the session.
        if result is Verdict.WRONG_LAST:
            await completed(deps.sessions.spend(login_session_id, session))
    return error


async def accepted(
    deps: Dependencies,
    login_session_id: str,
    session: LoginSession,
    check: Callable[[], Awaitable[Verdict]],
    after: Callable[[LoginSession], LoginSession],
) -> LoginSession | Verdict:
    """Let the session accept a code; return the session after it, or the verdict of another code.

    A session that changed meanwhile is read again, and so is the code: another one may have been
    sent. Raises LoginSessionInvalid when the session no longer waits for a code.
    """
    while (verdict := await check()) is Verdict.RIGHT:
        moved = after(session)
        try:
            await deps.sessions.advance(login_session_id, session, moved)
            return moved
        except LoginSessionInvalid:
            session = await deps.sessions.read(login_session_id)
        if is_repeated(session, moved.otp_digest):
            return session
        require_step(session, Step.AWAITING_OTP, session.purpose)
    return verdict


async def _accepted_by_another(
    deps: Dependencies, login_session_id: str, digest: bytes
) -> LoginSession | Verdict:
    """Wait for a parallel call that used the code up; return the session if it accepted the code.

    Returns SPENT when the session accepted no such code, and when it has ended.
    """

    async def look() -> LoginSession | Verdict | None:
        session = await deps.sessions.find(login_session_id)
        if session is None:
            return Verdict.SPENT
        if session.step is Step.AWAITING_OTP:
            return None
        return session if is_repeated(session, digest) else Verdict.SPENT

    return await polled(look, ACCEPTED_WITHIN_S) or Verdict.SPENT


async def _result(
    deps: Dependencies,
    login_session_id: str,
    session: LoginSession,
    user: User,
    entered: Entered,
    after: Third,
) -> LoginSession | Verdict:
    """Compare a code, and let the session accept it if it is right."""
    accept = partial(accepted, deps, login_session_id, session)
    if entered.method is OtpMethod.SMS:
        check = partial(deps.codes.check, login_session_id, session.purpose, entered.code)
        return await accept(check, after)
    use = _use_totp if entered.method is OtpMethod.TOTP else _use_recovery_code
    used = await use(deps, user, entered.code)
    if isinstance(used, Verdict):
        return used

    async def give_back() -> None:
        if not await _has_accepted(deps, login_session_id, after(session).otp_digest):
            await used()

    async with undone_on_failure(give_back):
        return await accept(_is_right, after)


async def _has_accepted(deps: Dependencies, login_session_id: str, digest: bytes) -> bool:
    """Return whether the session accepted a code; its answer to this call may be lost."""
    session = await deps.sessions.find(login_session_id)
    return session is not None and is_repeated(session, digest)


async def _is_right() -> Verdict:
    """Return the verdict of a code that this call has used in the database."""
    return Verdict.RIGHT


async def _use_totp(deps: Dependencies, user: User, code: str) -> Verdict | Undo:
    """Use the code of a time step that was not used yet; return what gives it back."""
    app = await deps.store.totp(user.customer_id)
    if app is None or not app.confirmed:
        return Verdict.WRONG
    secret = await deps.sealer.unseal(user.customer_id, Field.TOTP_SECRET, app.secret_sealed)
    step = totp.matching_step(secret.decode(), code, utc_now())
    if step is None:
        return Verdict.WRONG
    # A lost answer of the database is not undone: a parallel call may have used the same step.
    before = await deps.store.use_totp_step(user.customer_id, step)
    if before is None:
        return Verdict.SPENT
    return partial(deps.store.give_back_totp_step, user.customer_id, step, before)


async def _use_recovery_code(deps: Dependencies, user: User, code: str) -> Verdict | Undo:
    """Use a recovery code; return what gives it back.

    Returns SPENT for a code that is used, and also for one that never existed.
    """
    digest = totp.recovery_digest(deps.keys.code_key, user.customer_id, code)
    if digest is None:
        return Verdict.WRONG
    now = utc_now()
    back = partial(deps.store.give_back_recovery_code, user.customer_id, digest, now)
    async with undone_on_failure(back):
        used = await deps.store.use_recovery_code(user.customer_id, digest, now)
    return back if used else Verdict.SPENT


def _after_code(session: LoginSession, factor: Factor) -> LoginSession:
    """Return the session after its second factor was right."""
    return replace(
        session,
        step=LOGIN.next(session.step, Progress.OTP_RIGHT),
        factors=(*session.factors, factor),
    )


def otp_digest(key: bytes, login_session_id: str, code: str) -> bytes:
    """Return the keyed digest by which a repeated request with the same code is recognised."""
    return hmac.digest(key, f"{login_session_id}/{code}".encode(), "sha256")


def is_repeated(session: LoginSession, digest: bytes) -> bool:
    """Return whether the session has already accepted this code, and waits for the third factor."""
    return session.step is Step.AWAITING_BIOMETRIC and hmac.compare_digest(
        session.otp_digest, digest
    )


def require_step(session: LoginSession, step: Step, *purposes: Purpose) -> None:
    """Raise LoginSessionInvalid unless the session is at a step and of one of the purposes."""
    if session.step is not step or session.purpose not in purposes:
        raise LoginSessionInvalid
