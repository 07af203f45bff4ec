"""Codes by text message: they are sent and sent again."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from services.auth.charges import Recipient, resend_wait_s
from services.auth.codes import new_code
from services.auth.errors import (
    LoginSessionInvalid,
    MethodUnavailable,
    OtpResendTooSoon,
    OtpSendsExhausted,
)
from services.auth.handlers.contacts import phone_of
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.undoing import completed, undone_on_failure
from services.auth.partners.sms import NotAccepted, NumberRefused
from services.auth.phones import hint, prefix
from services.auth.state import LoginSession, OtpMethod, Purpose, Step, User
from services.auth.text_messages import text_message
from services.kernel.clock import utc_now
from services.kernel.errors import DependencyUnavailable


async def send(
    deps: Dependencies, login_session_id: str, session: LoginSession, user: User
) -> tuple[LoginSession, str]:
    """Send a new code to the customer's telephone; return the session and the telephone's hint.

    A code that was sent earlier is no longer valid, unless the gateway refuses the new message. The
    session is saved before the message is sent, so a crash in between sends too few messages and
    never too many.

    Raises OtpSendsExhausted, MethodUnavailable for a number that gets no messages,
    LoginSessionInvalid and DependencyUnavailable.
    """
    phone = await phone_of(deps, user)
    sent = await completed(_sent(deps, login_session_id, session, user, phone))
    return sent, hint(phone)


async def _sent(
    deps: Dependencies, login_session_id: str, session: LoginSession, user: User, phone: str
) -> LoginSession:
    """Send a code, or leave the earlier one valid; return the session after it."""
    to = _recipient(deps, session, user, phone)
    await deps.sends.admit(to)
    sent, code = _after_send(deps, session), new_code()

    async def back() -> None:
        await deps.codes.put_back(login_session_id, session.purpose, code)
        # A code that was not sent causes no wait and is not one of the day's codes.
        await deps.sends.give_back(to)
        await deps.sessions.take_back(login_session_id, sent, session)

    # Of parallel calls, one sends a code; the others use up none of the day's codes.
    async with undone_on_failure(back):
        await deps.sessions.advance(login_session_id, session, sent)
        await deps.codes.put(login_session_id, session.purpose, code)
    try:
        await _send_code(deps, session, user, phone, code)
    except MethodUnavailable:
        await deps.codes.put_back(login_session_id, session.purpose, code)
        raise
    except (NotAccepted, OtpSendsExhausted) as refusal:
        await back()
        if isinstance(refusal, OtpSendsExhausted):
            raise
        raise DependencyUnavailable from refusal
    return sent


def _recipient(deps: Dependencies, session: LoginSession, user: User, phone: str) -> Recipient:
    return Recipient(
        phone_index=user.phone_index,
        prefix_digest=deps.sealer.phone_index(prefix(phone)),
        purpose=session.purpose,
        device_id=session.device_id,
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

    The work begins a moment later, because the caller could time its next call, and only an
    account causes more work than one statement.

    Without an account, or if the first code cannot be sent, the stored code is one that no caller
    knows. So the answers to later tries are the same. If a further code cannot be sent, the earlier
    one is valid again, with as many tries as an unknown address has. Raises LoginSessionInvalid.
    """
    code = new_code()

    async def back() -> None:
        # Without its tries, because a code that is sent has none either.
        await deps.codes.put_back(login_session_id, Purpose.RESET, code, with_tries=False)

    async with undone_on_failure(back):
        await deps.codes.put(login_session_id, Purpose.RESET, code)
    sending = _send_reset_code(deps, session, code, back)
    if not deps.background.start("reset code", sending, is_delayed=True):
        await back()


async def _send_reset_code(
    deps: Dependencies, session: LoginSession, code: str, back: Callable[[], Awaitable[None]]
) -> None:
    """Send the code of a reset, and call `back` if it was not sent.

    Raises OtpSendsExhausted, MethodUnavailable and DependencyUnavailable for the log.
    """
    async with undone_on_failure(back):
        user = await deps.store.user_by_email(session.account)
        if user is None:
            # Otherwise many resets at once take more time for an address that has an account.
            await deps.sealer.unseal_nothing()
            return
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

    Raises LoginSessionInvalid, OtpResendTooSoon and the errors of `send`.
    """
    session = await deps.sessions.read(login_session_id)
    if session.step is not Step.AWAITING_OTP:
        raise LoginSessionInvalid
    wait_s = _wait_s(session, utc_now())
    if wait_s > 0:
        raise OtpResendTooSoon(retry_after_s=wait_s)
    if session.purpose is Purpose.RESET:
        return await completed(_resent_for_reset(deps, login_session_id, session)), ""
    user = await deps.store.user(session.customer_id) if session.customer_id else None
    if user is None:
        raise LoginSessionInvalid
    return await send(deps, login_session_id, session, user)


async def _resent_for_reset(
    deps: Dependencies, login_session_id: str, session: LoginSession
) -> LoginSession:
    """Count one more code of a reset and store it; return the session after it."""
    sent = _after_send(deps, session)
    await deps.sessions.advance(login_session_id, session, sent)
    await put_reset_code(deps, login_session_id, sent)
    return sent


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
