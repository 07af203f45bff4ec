"""The third factor by a picture of the face. AWS charges for it, so a login session has limits,
and so has a customer's day.

A check is counted before the face service is called, and a caller that hangs up has used it.
"""

import asyncio
import time
from dataclasses import replace
from datetime import datetime
from typing import NoReturn

from services.auth import faces
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
    TriesExhausted,
)
from services.auth.faces import FacesUnavailable, Outcome
from services.auth.handlers.dependencies import Dependencies
from services.auth.handlers.undoing import undone_on_failure
from services.auth.login_sessions import advanced
from services.auth.pictures import Picture, PictureRefused
from services.auth.sealing import Field
from services.auth.state import LoginSession, Progress, User
from services.auth.throttle import FaceCheck, FaceCheckKind
from services.kernel.clock import utc_now
from services.kernel.errors import DependencyUnavailable

LIVENESS_WITHIN_S = 5.0
"""How long a repeated call waits for the liveness check that an earlier call begins."""
POLL_S = 0.1
"""How often a waiting call reads the session."""
OUTCOMES: dict[Outcome, type[AuthError]] = {
    Outcome.OTHER_FACE: FaceNotMatched,
    Outcome.NOT_LIVE: FaceNotLive,
    Outcome.NO_FACE: FaceNotFound,
    Outcome.SEVERAL_FACES: FacesSeveral,
}
"""The outcomes of a face match that refuse it. LIVENESS_PENDING is LivenessPending with its wait,
and UNAVAILABLE is DependencyUnavailable."""


async def with_liveness(
    deps: Dependencies, login_session_id: str, session: LoginSession
) -> LoginSession:
    """Begin the liveness check of a session that has none; return the session with its id.

    Raises LoginSessionInvalid, also when the session has used its checks, and then ends it. Raises
    DependencyUnavailable without an answer, and while a parallel call begins the check.
    """
    if session.liveness_session_id:
        return session
    now = utc_now()
    if faces.is_beginning(session.liveness_begin_time, now):
        raise DependencyUnavailable
    if session.liveness_checks >= faces.LIVENESS_CHECKS_MAX:
        await _end(deps, login_session_id, session)
    beginning = beginning_liveness(session, now)
    await deps.sessions.advance(login_session_id, session, beginning)
    return await begin_liveness(deps, login_session_id, beginning)


def beginning_liveness(session: LoginSession, now: datetime) -> LoginSession:
    """Return the session with one more liveness check, which this call begins now."""
    checks = session.liveness_checks + 1
    return replace(session, liveness_checks=checks, liveness_begin_time=now)


async def begin_liveness(
    deps: Dependencies, login_session_id: str, beginning: LoginSession
) -> LoginSession:
    """Begin the liveness check that `beginning` counts; return the session with its id.

    Raises DependencyUnavailable without an answer, and TriesExhausted for too many of a day. Then
    the check does not count.
    """
    counted = replace(beginning, liveness_begin_time=None)
    check = _check(FaceCheckKind.LIVENESS, beginning)
    # After a call that hangs up the check stays counted, because AWS may have begun it.
    after_failure = counted
    async with undone_on_failure(
        lambda: deps.sessions.advance(login_session_id, beginning, after_failure)
    ):
        try:
            await deps.face_checks.admit(check)
            liveness_session_id = await deps.faces.begin()
        except TriesExhausted:
            after_failure = replace(counted, liveness_checks=counted.liveness_checks - 1)
            raise
        except FacesUnavailable:
            after_failure = replace(counted, liveness_checks=counted.liveness_checks - 1)
            await deps.face_checks.give_back(check)
            raise DependencyUnavailable from None
    begun = replace(counted, liveness_session_id=liveness_session_id)
    await deps.sessions.advance(login_session_id, beginning, begun)
    return begun


async def awaited_liveness(
    deps: Dependencies, login_session_id: str, session: LoginSession
) -> LoginSession:
    """Wait while a parallel call begins the liveness check; return the session as it is then."""
    give_up = time.monotonic() + LIVENESS_WITHIN_S
    while faces.is_beginning(session.liveness_begin_time, utc_now()):
        if time.monotonic() >= give_up:
            break
        await asyncio.sleep(POLL_S)
        session = await deps.sessions.read(login_session_id)
    return session


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
        await deps.face_checks.give_back(_check(FaceCheckKind.PICTURE, session))
        await deps.sessions.advance(login_session_id, counted, session)
        raise DependencyUnavailable
    if outcome is Outcome.LIVENESS_PENDING:
        raise LivenessPending(retry_after_s=faces.pending_retry_s(counted.face_checks))
    if outcome is not Outcome.MATCHED:
        raise OUTCOMES[outcome]
    return counted


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
