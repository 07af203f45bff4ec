"""The third factor: a device's key or a picture of the face. Then the tokens."""

from dataclasses import dataclass, replace

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
    method_of,
    otp_digest,
    require_code,
    require_step,
)
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.face import (
    awaited_liveness,
    begin_liveness,
    beginning_liveness,
    require_face,
    with_liveness,
)
from services.auth.handlers.factors import attempt_of, undecided, wrong
from services.auth.handlers.undoing import undone_on_failure
from services.auth.results import LoggedIn, Wanted
from services.auth.state import (
    LOGIN,
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
from services.kernel.clock import utc_now

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
    if is_repeated(session, repeated):
        return await _wanted_again(deps, login_session_id, session, device)
    require_step(session, Step.AWAITING_OTP, Purpose.LOGIN, Purpose.STEP_UP)
    chosen = _biometric_method(device, biometric)
    entered = Entered(method or method_of(session, code), code)
    factor = await require_code(deps, login_session_id, session, entered)
    if factor is None:
        accepted = await deps.sessions.read(login_session_id)
        return await _wanted_again(deps, login_session_id, accepted, device)
    moved = _moved(replace(after_code(session, factor), otp_digest=repeated), chosen)
    await deps.sessions.advance(login_session_id, session, moved)
    if chosen is BiometricMethod.FACE:
        moved = await begin_liveness(deps, login_session_id, moved)
    return _wanted(moved, device)


def _moved(session: LoginSession, method: BiometricMethod) -> LoginSession:
    """Return the session as it waits for the third factor.

    A liveness check is counted in the same step, so no parallel call begins another one.
    """
    session = replace(session, biometric_method=method)
    if method is BiometricMethod.FACE:
        return beginning_liveness(session, utc_now())
    return replace(session, challenge=device_keys.new_challenge())


async def _wanted_again(
    deps: Dependencies, login_session_id: str, session: LoginSession, device: Device | None
) -> Wanted:
    """Return the answer of an earlier call with the same code, and wait for it if it still runs."""
    if session.biometric_method is BiometricMethod.FACE:
        session = await awaited_liveness(deps, login_session_id, session)
        session = await with_liveness(deps, login_session_id, session)
    return _wanted(session, device)


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
    proven = await _require_biometric(deps, login_session_id, session, user, proof)
    session = proven.session
    completing = replace(
        session,
        step=LOGIN.next(session.step, Progress.BIOMETRIC_RIGHT),
        factors=(*session.factors, proven.factor),
    )
    # Only one of several calls with the same session gets past this line.
    await deps.sessions.advance(login_session_id, session, completing)
    back = replace(session, step=LOGIN.next(completing.step, Progress.TOKENS_REFUSED))
    async with undone_on_failure(lambda: deps.sessions.advance(login_session_id, completing, back)):
        logged_in = await completion.complete(deps, completing, user, device_name, proven.key_use)
        await deps.answers.keep(login_session_id, request, logged_in)
    await deps.sessions.end(login_session_id)
    return logged_in


@dataclass(frozen=True, slots=True)
class _Proven:
    """A right third factor."""

    factor: Factor
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
    await deps.tries.admit(attempt.subject, factor)
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
    await deps.tries.right(attempt.subject, factor)
    return _Proven(factor, session, key_use)


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
    count = device_keys.verify_assertion(device, assertion, session.challenge, deps.settings)
    return KeyUse(device.device_id, device.sign_count, count)


async def _device_of(deps: Dependencies, session: LoginSession) -> Device | None:
    """Return the known device of a login; raise LoginSessionInvalid if it was removed meanwhile."""
    if session.customer_id is None or session.device_id is None:
        return None
    try:
        return await deps.store.device(session.customer_id, session.device_id)
    except DeviceNotFound:
        raise LoginSessionInvalid from None
