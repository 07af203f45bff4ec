"""The third factor: a device's key or a picture of the face. Then the tokens."""

from dataclasses import replace

from services.auth import device_keys
from services.auth.answers import request_digest
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
from services.auth.handlers.codes import (
    Entered,
    after_code,
    is_repeated,
    otp_digest,
    require_code,
    require_step,
)
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.face import require_face, with_liveness
from services.auth.handlers.factors import attempt_of, undecided, wrong
from services.auth.handlers.undoing import undone_on_failure
from services.auth.results import LoggedIn, Wanted
from services.auth.state import (
    LOGIN,
    BiometricMethod,
    Device,
    Factor,
    LoginSession,
    OtpMethod,
    Progress,
    Purpose,
    Step,
    User,
)

WRONG = (FaceNotMatched, FaceNotLive, AssertionInvalid)
"""Refusals that count as a wrong try."""


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
    repeated = otp_digest(deps.keys.code_key, login_session_id, code)
    if not is_repeated(session, repeated):
        require_step(session, Step.AWAITING_OTP, Purpose.LOGIN, Purpose.STEP_UP)
        chosen = _biometric_method(device, biometric)
        entered = Entered(method or session.methods[0], code)
        factor = await require_code(deps, login_session_id, session, entered)
        moved = replace(
            after_code(session, factor),
            biometric_method=chosen,
            challenge=_challenge(chosen),
            otp_digest=repeated,
        )
        await deps.sessions.advance(login_session_id, session, moved)
        session = moved
    # After the code: a wrong code must not cost the bank a liveness check.
    if session.biometric_method is BiometricMethod.FACE:
        session = await with_liveness(deps, login_session_id, session)
    return _wanted(session, device)


def _challenge(method: BiometricMethod) -> bytes:
    return device_keys.new_challenge() if method is BiometricMethod.DEVICE_KEY else b""


def _wanted(session: LoginSession, device: Device | None) -> Wanted:
    if session.biometric_method is BiometricMethod.DEVICE_KEY and device is not None:
        return Wanted(session, (device.credential_id,))
    return Wanted(session, ())


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
    if (answered := await deps.answers.read(login_session_id, request)) is not None:
        return answered
    session = await deps.sessions.read(login_session_id)
    require_step(session, Step.AWAITING_BIOMETRIC, Purpose.LOGIN, Purpose.STEP_UP)
    user = await deps.store.user(session.customer_id) if session.customer_id else None
    if user is None:
        raise LoginSessionInvalid
    factor, session = await _require_biometric(deps, login_session_id, session, user, proof)
    completing = replace(
        session,
        step=LOGIN.next(session.step, Progress.BIOMETRIC_RIGHT),
        factors=(*session.factors, factor),
    )
    # Only one of several calls with the same session gets past this line.
    await deps.sessions.advance(login_session_id, session, completing)
    back = replace(session, step=LOGIN.next(completing.step, Progress.TOKENS_REFUSED))
    async with undone_on_failure(lambda: deps.sessions.advance(login_session_id, completing, back)):
        logged_in = await completion.complete(deps, completing, user, device_name)
        await deps.answers.keep(login_session_id, request, logged_in)
    await deps.sessions.end(login_session_id)
    return logged_in


async def _require_biometric(
    deps: Dependencies,
    login_session_id: str,
    session: LoginSession,
    user: User,
    proof: Assertion | bytes,
) -> tuple[Factor, LoginSession]:
    """Check the third factor; return it, and the session as it is now in Valkey."""
    method = session.biometric_method
    if isinstance(proof, bytes) is not (method is BiometricMethod.FACE):
        raise MethodUnavailable
    factor = Factor.FACE_PICTURE if isinstance(proof, bytes) else Factor.DEVICE_KEYS
    attempt = attempt_of(
        user.email_index, user, session.device_id, factor, session_id=session.session_id
    )
    await deps.tries.admit(attempt.subject, factor)
    refusal: AuthError | None = None
    async with undecided(deps, attempt):
        try:
            session = await _require_proof(deps, login_session_id, session, user, proof)
        except WRONG as error:
            refusal = error
    if refusal is not None:
        await wrong(deps, attempt, refusal)
        raise refusal
    await deps.tries.right(attempt.subject, factor)
    return factor, session


async def _require_proof(
    deps: Dependencies,
    login_session_id: str,
    session: LoginSession,
    user: User,
    proof: Assertion | bytes,
) -> LoginSession:
    if isinstance(proof, bytes):
        return await require_face(deps, login_session_id, session, user, proof)
    await _require_assertion(deps, session, proof)
    return session


async def _require_assertion(
    deps: Dependencies, session: LoginSession, assertion: Assertion
) -> None:
    device = await _device_of(deps, session)
    if device is None or not device.credential_id:
        raise AssertionInvalid
    count = device_keys.verify_assertion(device, assertion, session.challenge, deps.settings)
    if not await deps.store.bump_sign_count(device.device_id, device.sign_count, count):
        raise AssertionInvalid


async def _device_of(deps: Dependencies, session: LoginSession) -> Device | None:
    """Return the known device of a login; raise LoginSessionInvalid if it was removed meanwhile."""
    if session.customer_id is None or session.device_id is None:
        return None
    try:
        return await deps.store.device(session.customer_id, session.device_id)
    except DeviceNotFound:
        raise LoginSessionInvalid from None
