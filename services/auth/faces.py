"""Face match: what a check can end with, and the decision. pictures.py checks the pictures.

Knows no AWS. The client of the face service implements `FaceService`.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from services.auth.pictures import Picture

SIMILARITY_PERCENT_MIN = 98.0
"""The design document: CompareFaces of at least 98."""
LIVENESS_PERCENT_MIN = 90.0
LIVENESS_CHECKS_MAX = 3
"""The largest number of liveness checks that the bank begins for one login session. AWS charges for
each, so a caller who hangs up and repeats must not cause more."""
FACE_CHECKS_MAX = 10
"""The largest number of pictures of one login session that the face service gets."""
PENDING_RETRY_S_MAX = 32
LIVENESS_BEGINS = timedelta(seconds=45)
"""Longer than the deadline of the call that begins a liveness check."""


class Outcome(StrEnum):
    """The result of a face match."""

    MATCHED = "MATCHED"
    OTHER_FACE = "OTHER_FACE"
    """The picture, or the face before the camera, is not the customer's."""
    NOT_LIVE = "NOT_LIVE"
    """The liveness session failed, expired, or saw a photograph."""
    NO_FACE = "NO_FACE"
    SEVERAL_FACES = "SEVERAL_FACES"
    LIVENESS_PENDING = "LIVENESS_PENDING"
    """The phone has not finished the liveness session; verify again later."""
    UNAVAILABLE = "UNAVAILABLE"
    """The face service did not answer, so nothing is known about the face."""


class FacesUnavailable(Exception):
    """The face service is temporarily unavailable. Please retry."""


class LivenessState(StrEnum):
    """The state of a liveness session."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    """It failed, expired, or does not exist."""


@dataclass(frozen=True, slots=True)
class Liveness:
    """The result of a liveness session. `reference` is the live face, a JPEG; b"" without one."""

    state: LivenessState
    confidence_percent: float = 0.0
    reference: bytes = b""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The faces in a picture, and the similarity of the one that is most like the reference."""

    faces: int
    similarity_percent: float = 0.0


class FaceService(Protocol):
    """The calls to the face service. Each raises FacesUnavailable when it gets no answer."""

    async def create_liveness_session(self) -> str:
        """Return the id of a new liveness session."""
        ...

    async def liveness(self, session_id: str) -> Liveness:
        """Return the result of a liveness session."""
        ...

    async def compare(self, reference: bytes, picture: bytes) -> Comparison:
        """Compare a reference with each face in a picture. Raise PictureRefused for a picture that
        the service cannot read."""
        ...


def pending_retry_s(checks: int) -> int:
    """Return how long an app waits after its `checks`-th picture came before the liveness result.

    The waits double, so the checks of one login outlast the three minutes of a liveness check.
    """
    return min(2**checks, PENDING_RETRY_S_MAX)


def is_beginning(begin_time: datetime | None, now: datetime) -> bool:
    """Return whether a call may still be asking for a liveness check that it began to ask for then.

    A call that was killed never says that it has ended, so a later one stops waiting for it.
    """
    return begin_time is not None and now < begin_time + LIVENESS_BEGINS


def of_liveness(liveness: Liveness) -> Outcome | None:
    """Return the outcome that a liveness result alone decides; None for a live face."""
    if liveness.state is LivenessState.PENDING:
        return Outcome.LIVENESS_PENDING
    is_live = liveness.confidence_percent >= LIVENESS_PERCENT_MIN
    if liveness.state is not LivenessState.SUCCEEDED or not is_live or not liveness.reference:
        return Outcome.NOT_LIVE
    return None


def of_comparisons(*comparisons: Comparison) -> Outcome:
    """Return MATCHED if each picture shows exactly one face, the customer's."""
    if any(each.faces == 0 for each in comparisons):
        return Outcome.NO_FACE
    if any(each.faces > 1 for each in comparisons):
        return Outcome.SEVERAL_FACES
    # Not "any below": a similarity that is no number is not below, and must not match.
    if all(each.similarity_percent >= SIMILARITY_PERCENT_MIN for each in comparisons):
        return Outcome.MATCHED
    return Outcome.OTHER_FACE


class FaceMatch:
    """Verifies that the person before the phone's camera is the customer."""

    def __init__(self, service: FaceService, total_s_max: float) -> None:
        """`total_s_max` limits a whole verification, with the retries of its calls."""
        self._service = service
        self._total_s_max = total_s_max

    async def begin(self) -> str:
        """Return the id of a new liveness session. Raise FacesUnavailable without an answer.

        The bank keeps the id with its own login session and passes that one to `verify`. If the
        caller could choose the id, an attacker could use the liveness session of another person.
        """
        try:
            async with asyncio.timeout(self._total_s_max):
                return await self._service.create_liveness_session()
        except TimeoutError as error:
            raise FacesUnavailable from error

    async def verify(self, reference: bytes, picture: Picture, liveness_session_id: str) -> Outcome:
        """Compare the reference with the picture and with the face of the liveness session.

        To enrol a customer, pass the new picture as its own reference. Raises PictureRefused for
        a picture that the face service cannot read.
        """
        try:
            async with asyncio.timeout(self._total_s_max):
                return await self._verified(reference, picture.data, liveness_session_id)
        except (TimeoutError, FacesUnavailable):
            return Outcome.UNAVAILABLE

    async def _verified(self, reference: bytes, picture: bytes, session_id: str) -> Outcome:
        liveness = await self._service.liveness(session_id)
        if decided := of_liveness(liveness):
            return decided
        # Both run at the same time, because a person waits for the answer.
        return of_comparisons(
            *await asyncio.gather(
                self._service.compare(reference, picture),
                self._service.compare(reference, liveness.reference),
            )
        )
