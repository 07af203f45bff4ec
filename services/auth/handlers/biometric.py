"""The third factor: a device's key or a picture of the face. Then the tokens."""

from dataclasses import replace
from functools import partial

from services.auth import device_keys, faces
from services.auth.device_keys import Assertion
from services.auth.errors import (
    AssertionInvalid,
    AuthError,
    FaceNotFound,
    FaceNotLive,
    FaceNotMatched,
    FacesSeveral,
    LivenessPending,
    LoginSessionInvalid,
    MethodUnavailable,
    PictureInvalid,
)
from services.auth.faces import FacesUnavailable, Outcome, PictureRefused
from services.auth.handlers import completion
from services.auth.handlers.codes import after_code, require_code, require_step
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.factors import attempt_of, wrong
from services.auth.handlers.undo import undone_on_failure
from services.auth.outcomes import LoggedIn, Wanted
from services.auth.sealing import Field
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
from services.kernel.errors import DependencyUnavailable

OUTCOMES: dict[Outcome, type[AuthError]] = {
    Outcome.OTHER_FACE: FaceNotMatched,
    Outcome.NOT_LIVE: FaceNotLive,
    Outcome.NO_FACE: FaceNotFound,
    Outcome.SEVERAL_FACES: FacesSeveral,
    Outcome.LIVENESS_PENDING: LivenessPending,
}
"""The outcomes of a face match that refuse it. UNAVAILABLE is DependencyUnavailable."""
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

    Raises OtpInvalid, TriesExhausted, LoginSessionInvalid, MethodUnavailable and
    DependencyUnavailable.
    """
    session = await deps.sessions.read(login_session_id)
    require_step(session, Step.AWAITING_OTP, Purpose.LOGIN, Purpose.STEP_UP)
    device = await _device_of(deps, session)
    chosen = _biometric_method(device, biometric)
    _, factor = await require_code(
        deps, login_session_id, session, method or session.methods[0], code
    )
    moved = after_code(session, factor)
    if chosen is BiometricMethod.FACE:
        liveness = await _begin_liveness(deps)
        moved = replace(moved, biometric_method=chosen, liveness_session_id=liveness)
    else:
        challenge = device_keys.new_challenge()
        moved = replace(moved, biometric_method=chosen, challenge=challenge)
    await deps.sessions.advance(login_session_id, session, moved)
    keys = (device.credential_id,) if device and chosen is BiometricMethod.DEVICE_KEY else ()
    return Wanted(moved, keys)


async def _begin_liveness(deps: Dependencies) -> str:
    try:
        return await deps.faces.begin()
    except FacesUnavailable:
        raise DependencyUnavailable from None


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

    Raises LoginSessionInvalid, MethodUnavailable, TriesExhausted, DependencyUnavailable, and the
    error of the factor.
    """
    session = await deps.sessions.read(login_session_id)
    require_step(session, Step.AWAITING_BIOMETRIC, Purpose.LOGIN, Purpose.STEP_UP)
    user = await deps.store.user(session.customer_id) if session.customer_id else None
    if user is None:
        raise LoginSessionInvalid
    factor = await _require_biometric(deps, session, user, proof)
    completing = replace(
        session,
        step=LOGIN.next(session.step, Progress.BIOMETRIC_RIGHT),
        factors=(*session.factors, factor),
    )
    # Only one of several calls with the same session gets past this line.
    await deps.sessions.advance(login_session_id, session, completing)
    back = replace(session, step=LOGIN.next(completing.step, Progress.TOKENS_REFUSED))
    step_back = partial(deps.sessions.advance, login_session_id, completing, back)
    async with undone_on_failure(step_back):
        logged_in = await completion.complete(deps, completing, user, device_name)
    await deps.sessions.end(login_session_id)
    return logged_in


async def _require_biometric(
    deps: Dependencies, session: LoginSession, user: User, proof: Assertion | bytes
) -> Factor:
    method = session.biometric_method
    if isinstance(proof, bytes) is not (method is BiometricMethod.FACE):
        raise MethodUnavailable
    factor = Factor.FACE_PICTURE if isinstance(proof, bytes) else Factor.DEVICE_KEYS
    attempt = attempt_of(user.email_index, user, session.device_id, factor)
    await deps.tries.admit(attempt.subject, factor)
    async with undone_on_failure(partial(deps.tries.undo, attempt.subject, factor)):
        refusal = await _refusal(deps, session, user, proof)
    if refusal is not None:
        await wrong(deps, attempt, refusal)
        raise refusal
    await deps.tries.right(attempt.subject, factor)
    return factor


async def _refusal(
    deps: Dependencies, session: LoginSession, user: User, proof: Assertion | bytes
) -> AuthError | None:
    """Return the refusal that counts as a wrong try; None for a right factor."""
    try:
        if isinstance(proof, bytes):
            await _require_face(deps, session, user, proof)
        else:
            await _require_assertion(deps, session, proof)
    except WRONG as error:
        return error
    return None


async def _require_face(
    deps: Dependencies, session: LoginSession, user: User, picture: bytes
) -> None:
    if faces.check_picture(picture) is not None:
        raise PictureInvalid
    sealed = await deps.store.face(user.customer_id)
    if sealed is None:
        raise MethodUnavailable
    reference = await deps.sealer.unseal(user.customer_id, Field.FACE, sealed)
    try:
        outcome = await deps.faces.verify(reference, picture, session.liveness_session_id)
    except PictureRefused:
        raise PictureInvalid from None
    if outcome is Outcome.UNAVAILABLE:
        raise DependencyUnavailable
    if outcome is not Outcome.MATCHED:
        raise OUTCOMES[outcome]


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
    if session.customer_id is None or session.device_id is None:
        return None
    return await deps.store.device(session.customer_id, session.device_id)
