"""The second factor: codes are sent, sent again, and checked."""

import asyncio
import hmac
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.auth import totp
from services.auth.codes import Verdict, new_code
from services.auth.errors import (
    LoginSessionInvalid,
    MethodUnavailable,
    OtpInvalid,
    OtpResendTooSoon,
    OtpSendsExhausted,
)
from services.auth.handlers.contacts import phone_of
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import attempt_of, undecided, wrong
from services.auth.handlers.undoing import undone_on_failure
from services.auth.partners.sms import NotAccepted, NumberRefused
from services.auth.phones import hint, prefix
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
from services.auth.text_messages import text_message
from services.auth.throttle import Recipient, resend_wait_s
from services.kernel.clock import utc_now
from services.kernel.errors import DependencyUnavailable

ACCEPTED_WITHIN_S = 2.0
"""How long a call whose code is used up waits for a parallel call that used it. That call only has
to save the session."""
POLL_S = 0.05
"""How often a waiting call reads the session."""
FACTORS = {
    OtpMethod.SMS: Factor.SMS_CODE,
    OtpMethod.TOTP: Factor.AUTHENTICATOR_APP,
    OtpMethod.RECOVERY_CODE: Factor.RECOVERY_CODES,
}


async def send(
    deps: Dependencies, login_session_id: str, session: LoginSession, user: User
) -> tuple[LoginSession, str]:
    """Send a new code to the customer's telephone; return the session and the telephone's hint.

    A code that was sent earlier is no longer valid, unless the gateway refuses the new message. The
    session is saved before the message is sent, so a crash in between sends too few messages and
    never too many.

    Raises OtpSendsExhausted, LoginSessionInvalid and DependencyUnavailable.
    """
    phone = await phone_of(deps, user)
    to = _recipient(deps, session, user, phone)
    await deps.sends.admit(to)
    sent, code = _after_send(deps, session), new_code()
    # Of parallel calls, one sends a code; the others use up none of the day's codes.
    async with undone_on_failure(lambda: deps.sends.give_back(to)):
        await deps.sessions.advance(login_session_id, session, sent)
        replaced = await deps.codes.put(login_session_id, session.purpose, code)
    try:
        await _send_code(deps, session, user, phone, code)
    except MethodUnavailable:
        await deps.codes.put_back(login_session_id, replaced)
        raise
    except (NotAccepted, OtpSendsExhausted) as refusal:
        await deps.codes.put_back(login_session_id, replaced)
        # A code that was not sent causes no wait and is not one of the day's codes.
        await deps.sends.give_back(to)
        await deps.sessions.advance(login_session_id, sent, session)
        if isinstance(refusal, OtpSendsExhausted):
            raise
        raise DependencyUnavailable from refusal
    return sent, hint(phone)


def _recipient(deps: Dependencies, session: LoginSession, user: User, phone: str) -> Recipient:
    return Recipient(
        phone_index=user.phone_index,
        prefix_digest=deps.sealer.phone_index(prefix(phone)),
        purpose=session.purpose,
        is_known_device=session.device_id is not None,
        session_id=session.session_id,
    )


async def _send_code(
    deps: Dependencies, session: LoginSession, user: User, phone: str, code: str
) -> None:
    """Send a code; raise MethodUnavailable for a number without delivery.

    Such a code stays counted, although no message was sent. So the limit of a day also bounds how
    often callers make the bank ask the gateway for a number that it refuses.
    """
    domain = deps.settings.web_domain
    text = text_message(code, session.purpose, locale=user.locale, domain=domain)
    left_s = max(int((session.expire_time - utc_now()).total_seconds()), 1)
    try:
        await deps.sms.send(phone, text, uuid.uuid4().hex, left_s)
    except NumberRefused:
        raise MethodUnavailable from None


async def put_reset_code(deps: Dependencies, login_session_id: str, session: LoginSession) -> None:
    """Store a new code of a reset; send it after the answer, if the address has an account.

    Without an account, or if the first code cannot be sent, the stored code is one that no caller
    knows. So the answers to later tries are the same. If a further code cannot be sent, the earlier
    one is valid again, with as many tries as an unknown address has. Raises LoginSessionInvalid.
    """
    code = new_code()
    replaced = await deps.codes.put(login_session_id, Purpose.RESET, code)
    # Without its tries, because a code that is sent has none either.
    earlier = replace(replaced, tries=0)

    async def back() -> None:
        await deps.codes.put_back(login_session_id, earlier)

    deps.background.start("reset code", _send_reset_code(deps, session, code, back))


async def _send_reset_code(
    deps: Dependencies, session: LoginSession, code: str, back: Callable[[], Awaitable[None]]
) -> None:
    """Send the code of a reset, and call `back` if it was not sent.

    Raises OtpSendsExhausted, MethodUnavailable and DependencyUnavailable for the log.
    """
    user = await deps.store.user_by_email(session.account)
    if user is None:
        return
    async with undone_on_failure(back):
        phone = await phone_of(deps, user)
        to = _recipient(deps, session, user, phone)
        await deps.sends.admit(to)
    try:
        await _send_code(deps, session, user, phone, code)
    except (OtpSendsExhausted, MethodUnavailable):
        await back()
        raise
    except NotAccepted as refusal:
        await back()
        await deps.sends.give_back(to)
        raise DependencyUnavailable from refusal


async def resend(deps: Dependencies, login_session_id: str) -> tuple[LoginSession, str]:
    """Send another code for a login session; each further one waits twice as long.

    Then a code by text message is the session's default method, because the app asked for it.

    The answer for a reset is the same whether or not the address has an account: it has no hint,
    and it comes before the message is sent.

    Raises LoginSessionInvalid, OtpResendTooSoon, OtpSendsExhausted and DependencyUnavailable.
    """
    session = await deps.sessions.read(login_session_id)
    if session.step is not Step.AWAITING_OTP:
        raise LoginSessionInvalid
    wait_s = _wait_s(session, utc_now())
    if wait_s > 0:
        raise OtpResendTooSoon(retry_after_s=wait_s)
    if session.purpose is Purpose.RESET:
        sent = _after_send(deps, session)
        await deps.sessions.advance(login_session_id, session, sent)
        await put_reset_code(deps, login_session_id, sent)
        return sent, ""
    user = await deps.store.user(session.customer_id) if session.customer_id else None
    if user is None:
        raise LoginSessionInvalid
    return await send(deps, login_session_id, session, user)


def method_of(session: LoginSession, code: str) -> OtpMethod:
    """Return the method of a code whose app named none."""
    has_recovery_codes = OtpMethod.RECOVERY_CODE in session.methods
    if has_recovery_codes and totp.is_recovery_code(code):
        return OtpMethod.RECOVERY_CODE
    return session.methods[0]


def _after_send(deps: Dependencies, session: LoginSession) -> LoginSession:
    """Return the session after one more code was sent now."""
    sends = session.sends + 1
    next_time = utc_now() + timedelta(
        seconds=resend_wait_s(deps.settings.otp_resend_first_s, sends)
    )
    others = [method for method in session.methods if method is not OtpMethod.SMS]
    methods = (OtpMethod.SMS, *others)
    return replace(session, methods=methods, sends=sends, next_send_time=next_time)


def _wait_s(session: LoginSession, now: datetime) -> int:
    """Return how many whole seconds the next code must wait; 0 if it can be sent."""
    if session.next_send_time is None or session.next_send_time <= now:
        return 0
    return int((session.next_send_time - now).total_seconds()) + 1


@dataclass(frozen=True, slots=True)
class Entered:
    """A code that the customer typed."""

    method: OtpMethod
    code: str = field(repr=False)


async def require_code(
    deps: Dependencies,
    login_session_id: str,
    session: LoginSession,
    entered: Entered,
) -> Factor | None:
    """Check the code of a session's second factor; return the factor.

    Returns None when a parallel call with the same code moved the session: an app repeated a slow
    call.

    Raises OtpInvalid, TriesExhausted, LoginSessionInvalid and MethodUnavailable.
    """
    method = entered.method
    user = await deps.store.user(session.customer_id) if session.customer_id else None
    if user is None:
        raise LoginSessionInvalid
    if method not in session.methods:
        raise MethodUnavailable
    factor = FACTORS[method]
    attempt = attempt_of(
        user.email_index, user, session.device_id, factor, session_id=session.session_id
    )
    await deps.tries.admit(attempt.subject, factor)
    async with undecided(deps, attempt):
        verdict = await _verdict(deps, login_session_id, session, user, method, entered.code)
    # Not above: a caller that hangs up while it waits must not get its try back.
    spent = verdict is Verdict.SPENT
    repeated = spent and await _was_accepted(deps, login_session_id, entered.code)
    if verdict is Verdict.RIGHT or repeated:
        await deps.tries.right(attempt.subject, factor)
        return None if repeated else factor
    # Not for SPENT: a parallel call with the right code may still need the session.
    if verdict is Verdict.WRONG_LAST:
        await deps.sessions.end(login_session_id)
    error = OtpInvalid()
    await wrong(deps, attempt, error)
    raise error


async def _was_accepted(deps: Dependencies, login_session_id: str, code: str) -> bool:
    """Wait for a parallel call that used the code up; return whether the session accepted it.

    Raises LoginSessionInvalid when the session has ended.
    """
    digest = otp_digest(deps.keys.code_key, login_session_id, code)
    give_up = time.monotonic() + ACCEPTED_WITHIN_S
    while True:
        session = await deps.sessions.read(login_session_id)
        if session.step is not Step.AWAITING_OTP or time.monotonic() >= give_up:
            return is_repeated(session, digest)
        await asyncio.sleep(POLL_S)


async def _verdict(
    deps: Dependencies,
    login_session_id: str,
    session: LoginSession,
    user: User,
    method: OtpMethod,
    code: str,
) -> Verdict:
    if method is OtpMethod.SMS:
        return await deps.codes.check(login_session_id, session.purpose, code)
    if method is OtpMethod.TOTP:
        return await _totp_verdict(deps, user, code)
    return await _recovery_verdict(deps, user, code)


async def _totp_verdict(deps: Dependencies, user: User, code: str) -> Verdict:
    """Return RIGHT for the code of a time step that was not used yet, SPENT for a used one."""
    app = await deps.store.totp(user.customer_id)
    if app is None or not app.confirmed:
        return Verdict.WRONG
    secret = await deps.sealer.unseal(user.customer_id, Field.TOTP_SECRET, app.secret_sealed)
    step = totp.matching_step(secret.decode(), code, utc_now())
    if step is None:
        return Verdict.WRONG
    used = await deps.store.use_totp_step(user.customer_id, step)
    return Verdict.RIGHT if used else Verdict.SPENT


async def _recovery_verdict(deps: Dependencies, user: User, code: str) -> Verdict:
    """Return SPENT for a code that is used, and also for one that never existed."""
    digest = totp.recovery_digest(deps.keys.code_key, user.customer_id, code)
    if digest is None:
        return Verdict.WRONG
    used = await deps.store.use_recovery_code(user.customer_id, digest, utc_now())
    return Verdict.RIGHT if used else Verdict.SPENT


def after_code(session: LoginSession, factor: Factor) -> LoginSession:
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
