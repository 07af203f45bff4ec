"""The third factor: a device's key or a picture of the face. Then the tokens."""

import secrets
from dataclasses import dataclass, replace
from functools import partial

from services.auth import device_keys
from services.auth.answers import request_digest
from services.auth.background import attempted
from services.auth.device_keys import Assertion
from services.auth.errors import (
    AssertionInvalid,
    AuthError,
    DeviceNotFound,
    FaceNotLive,
    FaceNotMatched,
    LoginSessionInvalid,
    MethodUnavailable,
)
from services.auth.handlers import completion
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.face import liveness_of, require_face
from services.auth.handlers.factors import Attempt, attempt_of, right, undecided, wrong
from services.auth.handlers.second_factor import (
    Entered,
    accept_code,
    is_repeated,
    method_of,
    otp_digest,
    require_step,
)
from services.auth.handlers.undoing import completed, undone_on_failure
from services.auth.login_sessions import OWNER_BYTES, advanced
from services.auth.polling import polled
from services.auth.results import LoggedIn, Wanted
from services.auth.state import (
    BiometricMethod,
    Device,
    Factor,
    KeyUse,
    LoginSession,
    OtpMethod,
    Progress,
    Purpose,
    Step,
    User,
)
from services.kernel.errors import DependencyUnavailable

WRONG = (FaceNotMatched, FaceNotLive, AssertionInvalid)
"""Refusals that count as a wrong try."""
ANSWERED_WITHIN_S = 2.0
"""How long a repeated call waits for an earlier one that fetches the tokens."""


async def verify_otp(
    deps: Dependencies,
    login_session_id: str,
    code: str,
    method: OtpMethod | None,
    biometric: BiometricMethod | None,
) -> Wanted:
    """Check the second factor and ask for the third.

    An app that lost the answer sends the same code again, and gets the same answer.

    Raises OtpInvalid, TriesExhausted, LoginSessionInvalid, MethodUnavailable and
    DependencyUnavailable.
    """
    session = await deps.sessions.read(login_session_id)
    device = await _device_of(deps, session)
    if not is_repeated(session, otp_digest(deps.keys.code_key, login_session_id, code)):
        require_step(session, Step.AWAITING_OTP, Purpose.LOGIN, Purpose.STEP_UP)
        third = partial(_awaiting, _biometric_method(device, biometric))
        entered = Entered(method or method_of(session, code), code)
        session = await completed(accept_code(deps, login_session_id, session, entered, third))
    if session.biometric_method is BiometricMethod.FACE:
        session = await liveness_of(deps, login_session_id, session)
    elif device is not None:
        return Wanted(session, (device.credential_id,))
    return Wanted(session, ())


def _awaiting(method: BiometricMethod, session: LoginSession) -> LoginSession:
    """Return the session as it waits for the third factor."""
    challenge = device_keys.new_challenge() if method is BiometricMethod.DEVICE_KEY else b""
    return replace(session, biometric_method=method, challenge=challenge)


def _biometric_method(device: Device | None, asked: BiometricMethod | None) -> BiometricMethod:
    """Return the method of the third factor; raise MethodUnavailable for a key without a device."""
    has_key = device is not None and bool(device.credential_id)
    if asked is None:
        return BiometricMethod.DEVICE_KEY if has_key else BiometricMethod.FACE
    if asked is BiometricMethod.DEVICE_KEY and not has_key:
        raise MethodUnavailable
    return asked


async def verify_biometric(
    deps: Dependencies,
    login_session_id: str,
    proof: Assertion | bytes,
    device_name: str,
) -> LoggedIn:
    """Check the third factor and return the tokens. `proof` is an assertion or a picture.

    An app that lost the answer repeats the same call within a minute, and gets the same answer.

    Raises LoginSessionInvalid, MethodUnavailable, TriesExhausted, DependencyUnavailable, and the
    error of the factor.
    """
    request = request_digest(proof, device_name)
    session = await _answered(deps, login_session_id, request)
    if isinstance(session, LoggedIn):
        return session
    require_step(session, Step.AWAITING_BIOMETRIC, Purpose.LOGIN, Purpose.STEP_UP)
    user = await deps.store.user(session.customer_id) if session.customer_id else None
    if user is None:
        raise LoginSessionInvalid
    proven = await _require_biometric(deps, login_session_id, session, user, proof)
    # Not half done: without its end, a grant of the provider would have no session.
    done = _completed(deps, login_session_id, user, proven, request, device_name)
    return await completed(done)


async def _answered(
    deps: Dependencies, login_session_id: str, request: bytes
) -> LoggedIn | LoginSession:
    """Return the answer of an earlier call with the same request, or the session without one.

    Waits while an earlier call fetches the tokens. Raises LoginSessionInvalid, and
    DependencyUnavailable when the earlier call takes longer: the provider is slow.
    """

    async def look() -> LoggedIn | LoginSession | None:
        # The session first: a call keeps its answer before it deletes its session.
        found = await deps.sessions.find(login_session_id)
        if (answered := await deps.answers.read(login_session_id, request)) is not None:
            return answered
        if found is None:
            raise LoginSessionInvalid
        return None if found.step is Step.COMPLETING else found

    if (found := await polled(look, ANSWERED_WITHIN_S)) is None:
        raise DependencyUnavailable
    return found


async def _completed(
    deps: Dependencies,
    login_session_id: str,
    user: User,
    proven: "_Proven",
    request: bytes,
    device_name: str,
) -> LoggedIn:
    """Fetch the tokens, and keep the answer. After a failure, the step may be repeated."""
    session, owner = proven.session, secrets.token_bytes(OWNER_BYTES)
    await right(deps, proven.attempt)
    completing = advanced(session, Progress.BIOMETRIC_RIGHT, owner=owner)
    with_factor = replace(completing, factors=(*session.factors, proven.attempt.factor))
    async with undone_on_failure(lambda: deps.sessions.give_back(login_session_id, owner)):
        # Only one of several calls with the same session gets past this line.
        await deps.sessions.advance(login_session_id, session, completing)
        logged_in = await completion.complete(deps, with_factor, user, device_name, proven.key_use)
        await deps.answers.keep(login_session_id, request, logged_in)
    ended = advanced(completing, Progress.TOKENS_FETCHED)
    # The answer is kept, so a failure here changes nothing for the app.
    await attempted("end", deps.sessions.advance(login_session_id, completing, ended))
    return logged_in


@dataclass(frozen=True, slots=True)
class _Proven:
    """A right third factor."""

    attempt: Attempt
    session: LoginSession
    """The session as it is now in Valkey."""
    key_use: KeyUse | None


async def _require_biometric(
    deps: Dependencies,
    login_session_id: str,
    session: LoginSession,
    user: User,
    proof: Assertion | bytes,
) -> _Proven:
    """Check the third factor."""
    method = session.biometric_method
    if isinstance(proof, bytes) is not (method is BiometricMethod.FACE):
        raise MethodUnavailable
    factor = Factor.FACE_PICTURE if isinstance(proof, bytes) else Factor.DEVICE_KEYS
    attempt = attempt_of(
        user.email_index, user, session.device_id, factor, session_id=session.session_id
    )
    refusal: AuthError | None = None
    key_use: KeyUse | None = None
    async with undecided(deps, attempt):
        try:
            session, key_use = await _require_proof(deps, login_session_id, session, user, proof)
        except WRONG as error:
            refusal = error
    if refusal is not None:
        await wrong(deps, attempt, refusal)
        raise refusal
    return _Proven(attempt, session, key_use)


async def _require_proof(
    deps: Dependencies,
    login_session_id: str,
    session: LoginSession,
    user: User,
    proof: Assertion | bytes,
) -> tuple[LoginSession, KeyUse | None]:
    if isinstance(proof, bytes):
        return await require_face(deps, login_session_id, session, user, proof), None
    return session, await _require_assertion(deps, session, proof)


async def _require_assertion(
    deps: Dependencies, session: LoginSession, assertion: Assertion
) -> KeyUse:
    """Check a signature. The login's last step sets the key's counter.

    So the same signature is right again when the last step failed and the app repeats its call.
    """
    device = await _device_of(deps, session)
    if device is None or not device.credential_id:
        raise AssertionInvalid
    return device_keys.verify_assertion(device, assertion, session.challenge, deps.settings)


async def _device_of(deps: Dependencies, session: LoginSession) -> Device | None:
    """Return the known device of a login; raise LoginSessionInvalid if it was removed meanwhile."""
    if session.customer_id is None or session.device_id is None:
        return None
    try:
        return await deps.store.device(session.customer_id, session.device_id)
    except DeviceNotFound:
        raise LoginSessionInvalid from None
