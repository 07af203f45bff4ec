"""The third factor by a picture of the face. AWS charges for it, so a login session has limits,
and so has a customer's day.

A check is counted before the face service is called. A caller that hangs up has used a comparison,
but keeps its liveness check for the repeated call.
"""

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NoReturn

from services.auth import faces
from services.auth.charges import FaceCheck, FaceCheckKind
from services.auth.errors import (
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
from services.auth.faces import FacesUnavailable, Outcome
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.undoing import completed, undone_on_failure
from services.auth.login_sessions import advanced
from services.auth.pictures import Picture, PictureRefused
from services.auth.polling import polled
from services.auth.sealing import Field
from services.auth.state import LoginSession, Progress, User
from services.kernel.clock import utc_now
from services.kernel.errors import DependencyUnavailable

LIVENESS_WITHIN_S = 5.0
"""How long a repeated call waits for the liveness check that an earlier call begins."""
OUTCOMES: dict[Outcome, type[AuthError]] = {
    Outcome.OTHER_FACE: FaceNotMatched,
    Outcome.NOT_LIVE: FaceNotLive,
    Outcome.NO_FACE: FaceNotFound,
    Outcome.SEVERAL_FACES: FacesSeveral,
}
"""The outcomes of a face match that refuse it. LIVENESS_PENDING is LivenessPending with its wait,
and UNAVAILABLE is DependencyUnavailable."""


async def liveness_of(
    deps: Dependencies, login_session_id: str, session: LoginSession
) -> LoginSession:
    """Return the session with its liveness check, which begins now if the session has none.

    Of parallel calls, one begins the check and the others wait for it.

    Raises LoginSessionInvalid, also when the session has used its checks, and then ends it. Raises
    DependencyUnavailable without an answer, also to calls that wait, and TriesExhausted for too
    many checks of a day.
    """
    check = _check(FaceCheckKind.LIVENESS, session)

    async def look() -> LoginSession | None:
        found = await deps.sessions.read(login_session_id)
        if found.liveness_session_id:
            return found
        if not faces.is_beginning(found.liveness_begin_time, utc_now()):
            # A session that another call has changed is read again.
            with suppress(LoginSessionInvalid):
                return await completed(_begun(deps, login_session_id, found, check))
        return None

    if (begun := await polled(look, LIVENESS_WITHIN_S)) is None:
        raise DependencyUnavailable
    return begun


async def _begun(
    deps: Dependencies, login_session_id: str, session: LoginSession, check: FaceCheck
) -> LoginSession:
    """Begin a liveness check; return the session with its id. A check that AWS made counts."""
    if session.liveness_checks >= faces.LIVENESS_CHECKS_MAX:
        await _end(deps, login_session_id, session)
    advance = partial(deps.sessions.advance, login_session_id)
    take_back = partial(deps.sessions.take_back, login_session_id)
    counted = replace(session, liveness_checks=session.liveness_checks + 1)
    counted = replace(counted, liveness_begin_time=None)
    beginning = replace(counted, liveness_begin_time=utc_now())
    async with undone_on_failure(lambda: take_back(beginning, session)):
        await advance(session, beginning)
        liveness_session_id = await _created(deps, check)
    begun = replace(counted, liveness_session_id=liveness_session_id)
    # AWS charges for the check, so a failure stores it once more.
    async with undone_on_failure(lambda: take_back(beginning, begun)):
        await advance(beginning, begun)
    return begun


async def _created(deps: Dependencies, check: FaceCheck) -> str:
    """Return the id of a new liveness check, which counts for the customer's day if AWS made it."""
    await deps.face_checks.admit(check)
    try:
        return await deps.faces.begin()
    except FacesUnavailable:
        await deps.face_checks.give_back(check)
        raise DependencyUnavailable from None


async def require_face(
    deps: Dependencies, login_session_id: str, session: LoginSession, user: User, data: bytes
) -> LoginSession:
    """Compare a picture with the customer's face; return the session with the check counted.

    Raises PictureInvalid before any call, the error of the outcome, MethodUnavailable,
    DependencyUnavailable, TriesExhausted for too many pictures of a day, and LoginSessionInvalid,
    also for a check beyond the session's limit.
    """
    try:
        picture = Picture(data)
        reference = await _reference(deps, user)
        counted = await _counted(deps, login_session_id, session)
        outcome = await deps.faces.verify(reference, picture, session.liveness_session_id)
    except PictureRefused:
        raise PictureInvalid from None
    if outcome is Outcome.UNAVAILABLE:
        await completed(_not_made(deps, login_session_id, counted, session))
        raise DependencyUnavailable
    if outcome is Outcome.LIVENESS_PENDING:
        raise LivenessPending(retry_after_s=faces.pending_retry_s(counted.face_checks))
    if outcome is not Outcome.MATCHED:
        raise OUTCOMES[outcome]
    return counted


async def _not_made(
    deps: Dependencies, login_session_id: str, counted: LoginSession, session: LoginSession
) -> None:
    """Take back the count of a comparison that AWS did not make.

    The session keeps the count if a parallel call has changed it meanwhile.
    """
    await deps.face_checks.give_back(_check(FaceCheckKind.PICTURE, session))
    await deps.sessions.take_back(login_session_id, counted, session)


async def _reference(deps: Dependencies, user: User) -> bytes:
    """Return the customer's stored picture; raise MethodUnavailable without one."""
    sealed = await deps.store.face(user.customer_id)
    if sealed is None:
        raise MethodUnavailable
    return await deps.sealer.unseal(user.customer_id, Field.FACE, sealed)


async def _counted(
    deps: Dependencies, login_session_id: str, session: LoginSession
) -> LoginSession:
    """Count a check; of parallel calls that read the same session, one gets it.

    Raises TriesExhausted for too many pictures of a day; then the session does not count it.
    """
    if not session.liveness_session_id:
        raise LoginSessionInvalid
    if session.face_checks >= faces.FACE_CHECKS_MAX:
        await _end(deps, login_session_id, session)
    check = _check(FaceCheckKind.PICTURE, session)
    counted = replace(session, face_checks=session.face_checks + 1)
    await deps.face_checks.admit(check)
    async with undone_on_failure(lambda: deps.face_checks.give_back(check)):
        await deps.sessions.advance(login_session_id, session, counted)
    return counted


def _check(kind: FaceCheckKind, session: LoginSession) -> FaceCheck:
    """Return how a check counts for the day of the session's customer."""
    if session.customer_id is None:
        raise LoginSessionInvalid
    return FaceCheck(kind, session.customer_id, session.device_id is not None)


async def _end(deps: Dependencies, login_session_id: str, session: LoginSession) -> NoReturn:
    ended = advanced(session, Progress.TRIES_SPENT)
    await deps.sessions.advance(login_session_id, session, ended)
    raise LoginSessionInvalid
