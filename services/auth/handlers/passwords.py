"""A password is changed, or reset with a code to the stored telephone."""

import secrets
import uuid
from datetime import timedelta
from functools import partial

from services.auth import events_out
from services.auth.answers import digest_of_all
from services.auth.background import attempted
from services.auth.codes import Verdict
from services.auth.errors import (
    CredentialsInvalid,
    CurrentPasswordInvalid,
    LoginSessionInvalid,
    PasswordBreached,
    PasswordUnsuitable,
    SessionNotFound,
)
from services.auth.handlers import codes
from services.auth.handlers.caller import Caller, origin
from services.auth.handlers.contacts import Contacts, contacts_of
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import attempt_of, right, undecided
from services.auth.handlers.login import email_index, known_device, require_password
from services.auth.handlers.second_factor import accepted, refusal, require_step
from services.auth.handlers.tokens import withdraw
from services.auth.handlers.undoing import completed, undone_on_failure
from services.auth.login_sessions import OWNER_BYTES, advanced
from services.auth.passwords import flaws, prehash
from services.auth.results import Started
from services.auth.state import (
    LOGIN,
    EndCause,
    Factor,
    LoginSession,
    OtpMethod,
    Progress,
    Purpose,
    Step,
    User,
)
from services.auth.store import Ending
from services.auth.throttle import network_of
from services.chassis.call_context import current_call
from services.kernel.clock import utc_now
from services.kernel.errors import FieldViolation, Unauthenticated

FIELD = "newPassword"
KNOWN = "must not be in the list of passwords that became public"


async def change_password(deps: Dependencies, me: Caller, current: str, new: str) -> None:
    """Replace the caller's password, and end the caller's other sessions.

    The change loses against a reset, against another change and against an end of the caller's
    session that happens while it runs: a thief's change must not replace the owner's new password.

    Raises CurrentPasswordInvalid, TriesExhausted, PasswordUnsuitable, PasswordBreached, and
    Unauthenticated when the session has ended.
    """
    user = await deps.store.user(me.customer_id)
    if user is None:
        raise Unauthenticated
    factor = Factor.PASSWORD
    attempt = attempt_of(user.email_index, user, me.device_id, factor, session_id=me.session_id)
    try:
        await require_password(deps, attempt, current)
        _require_suitable(deps, new, await contacts_of(deps, user))
        hashed = await _hashed(deps, user, new)
        await completed(_change(deps, user, hashed, me))
    except SessionNotFound:
        raise Unauthenticated from None
    except (CredentialsInvalid, LoginSessionInvalid):
        # In a later epoch, the current password is another one.
        raise CurrentPasswordInvalid from None


async def _change(deps: Dependencies, user: User, hashed: bytes, me: Caller) -> None:
    """Store the new password, and end the caller's other sessions everywhere."""
    await withdraw(deps, await _replace(deps, user, hashed, me, user.login_epoch))


async def _replace(
    deps: Dependencies, user: User, hashed: bytes, me: Caller | None, epoch: int
) -> list[uuid.UUID]:
    """Store a new password and end all sessions except the caller's own; return those that ended.

    Raises LoginSessionInvalid if the customer's epoch is no longer `epoch`, and SessionNotFound if
    the caller's own session has ended.
    """
    now = origin()
    ending = Ending(
        customer_id=user.customer_id,
        cause=EndCause.PASSWORD_CHANGED,
        origin=now,
        keep=me.session_id if me else None,
        events=[events_out.password_changed(now, user.customer_id, reset=me is None)],
    )
    ended = await deps.store.change_password(hashed, ending, epoch)
    return [session.session_id for session in ended]


async def _hashed(deps: Dependencies, user: User, new: str) -> bytes:
    """Return the hash of a new password. A caller that hangs up leaves the queue."""
    prehashed = prehash(deps.keys.password_key, new)
    return await deps.passwords.hash(prehashed, user.email_index)


def _require_suitable(deps: Dependencies, password: str, contacts: Contacts) -> None:
    """Raise PasswordUnsuitable or PasswordBreached for a new password that breaks a rule."""
    found = flaws(password, email_canonical=contacts.email, phone=contacts.phone)
    if found:
        raise PasswordUnsuitable(*(FieldViolation(FIELD, flaw.value) for flaw in found))
    if deps.breached.contains(password):
        raise PasswordBreached(FieldViolation(FIELD, KNOWN))


async def forgot_password(deps: Dependencies, email: str, device_token: str) -> Started:
    """Begin a reset; the answer and its time are the same for an unknown address.

    The message is sent after the answer, to the stored telephone. A known device has its own
    counters of codes and tries. Raises TriesExhausted for too many resets from one address.
    """
    index = email_index(deps, email)
    user = await deps.store.user_by_email(index)
    device = await known_device(deps, user, device_token)
    device_id = device.device_id if device else None
    await deps.tries.admit_reset(device_id, network_of(current_call.get().client_address))
    session = _reset_of(deps, index, user, device_id)
    login_session_id = await deps.sessions.begin(session)
    await codes.put_reset_code(deps, login_session_id, session)
    return Started(login_session_id, session, "")


def _reset_of(
    deps: Dependencies, account: bytes, user: User | None, device_id: uuid.UUID | None
) -> LoginSession:
    """Return a new reset, whose first code is on its way."""
    now, settings = utc_now(), deps.settings
    return LoginSession(
        purpose=Purpose.RESET,
        step=LOGIN.initial,
        customer_id=user.customer_id if user else None,
        expire_time=now + timedelta(seconds=settings.login_session_s),
        account=account,
        login_epoch=user.login_epoch if user else 0,
        methods=(OtpMethod.SMS,),
        device_id=device_id,
        sends=1,
        next_send_time=now + timedelta(seconds=settings.otp_resend_first_s),
    )


async def reset_password(deps: Dependencies, login_session_id: str, code: str, new: str) -> None:
    """Set a new password, end all sessions and lift the customer's locks.

    Until the password is stored, a failure gives the session back, and the same call may be
    repeated. An app that lost the answer repeats the call within a minute, and succeeds again.

    Raises LoginSessionInvalid, OtpInvalid, TriesExhausted, PasswordUnsuitable, PasswordBreached,
    RateLimited and DependencyUnavailable.
    """
    request = digest_of_all(code.encode(), new.encode())
    # The session first: a call keeps its answer before it deletes its session.
    session = await deps.sessions.find(login_session_id)
    if await deps.answers.is_reset(login_session_id, request):
        return
    if session is None:
        raise LoginSessionInvalid
    require_step(session, Step.AWAITING_OTP, Purpose.RESET)
    # Before the session accepts the code. The rules that need the account's data come after it.
    _require_suitable(deps, new, Contacts("", ""))
    owner = secrets.token_bytes(OWNER_BYTES)
    async with undone_on_failure(lambda: deps.sessions.give_back(login_session_id, owner)):
        accept = _accept_reset_code(deps, login_session_id, session, code, owner)
        user, replacing = await completed(accept)
        _require_suitable(deps, new, await contacts_of(deps, user))
        hashed = await _hashed(deps, user, new)
        await completed(_reset(deps, login_session_id, replacing, user, hashed, request))


async def _reset(
    deps: Dependencies,
    login_session_id: str,
    replacing: LoginSession,
    user: User,
    hashed: bytes,
    request: bytes,
) -> None:
    """Store the new password. What fails after that must not be the answer."""
    ended = await _replace(deps, user, hashed, None, replacing.login_epoch)
    await attempted("keep_reset", deps.answers.keep_reset(login_session_id, request))
    # upkeep.py completes what fails here.
    await attempted("withdraw", withdraw(deps, ended))
    done = advanced(replacing, Progress.PASSWORD_REPLACED)
    await attempted("end_reset", deps.sessions.advance(login_session_id, replacing, done))
    await attempted("unlock", _unlock(deps, user))


async def _unlock(deps: Dependencies, user: User) -> None:
    await deps.tries.unlock(user.email_index, await deps.store.device_ids(user.customer_id))
    await deps.store.append([events_out.login_unlocked(origin(), user.customer_id)])


async def _accept_reset_code(
    deps: Dependencies, login_session_id: str, session: LoginSession, code: str, owner: bytes
) -> tuple[User, LoginSession]:
    """Check the code; return the customer, and the session, which accepts no other call.

    The work is the same for the reset of an unknown address.
    """
    account = session.account
    user = await deps.store.user_by_email(account)
    attempt = attempt_of(account, user, session.device_id, Factor.SMS_CODE, purpose=Purpose.RESET)

    async def check() -> Verdict:
        verdict = await deps.codes.check(login_session_id, Purpose.RESET, code)
        return Verdict.WRONG if verdict is Verdict.RIGHT and user is None else verdict

    async with undecided(deps, attempt):
        after = partial(advanced, progress=Progress.RESET_CODE_RIGHT, owner=owner)
        result = await accepted(deps, login_session_id, session, check, after)
    if isinstance(result, LoginSession) and user is not None:
        await right(deps, attempt)
        return user, result
    raise await refusal(deps, attempt, login_session_id, session, result)
