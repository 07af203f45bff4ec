"""Face match: what a picture must be, what a check can end with, and the decision.

Knows no AWS. The client of the face service implements `FaceService`.
"""

import asyncio
import io
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from PIL import Image

PICTURE_BYTES_MAX = 1_500_000
PICTURE_SIDE_PX_MIN = 80
"""The face service accepts no smaller side."""
PICTURE_SIDE_PX_MAX = 4096
SIMILARITY_PERCENT_MIN = 98.0
"""The design document: CompareFaces of at least 98."""
LIVENESS_PERCENT_MIN = 90.0
_FORMATS = ("JPEG", "PNG")


class PictureFault(StrEnum):
    """What is wrong with a picture."""

    NOT_A_PICTURE = "NOT_A_PICTURE"
    """It is neither JPEG nor PNG, or it is damaged."""
    TOO_MANY_BYTES = "TOO_MANY_BYTES"
    SIDE_TOO_SHORT = "SIDE_TOO_SHORT"
    SIDE_TOO_LONG = "SIDE_TOO_LONG"


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


class PictureRefused(Exception):
    """The picture cannot be used. Take a new JPEG or PNG picture of at most 1.5 MB."""

    def __init__(self, fault: PictureFault) -> None:
        super().__init__(fault)
        self.fault = fault


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


def check_picture(data: bytes) -> PictureFault | None:
    """Return what is wrong with a picture; None for one that the face service may get.

    Only the header is read. Pixels are never decoded here, so a small file that unpacks to
    gigabytes costs nothing.
    """
    if len(data) > PICTURE_BYTES_MAX:
        return PictureFault.TOO_MANY_BYTES
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            sides = image.size
    except Image.DecompressionBombError:
        return PictureFault.SIDE_TOO_LONG
    except (OSError, ValueError, SyntaxError):
        return PictureFault.NOT_A_PICTURE
    if max(sides) > PICTURE_SIDE_PX_MAX:
        return PictureFault.SIDE_TOO_LONG
    return PictureFault.SIDE_TOO_SHORT if min(sides) < PICTURE_SIDE_PX_MIN else None


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

    async def verify(self, reference: bytes, picture: bytes, liveness_session_id: str) -> Outcome:
        """Compare the reference with the picture and with the face of the liveness session.

        To enrol a customer, pass the new picture as its own reference. Raises PictureRefused,
        before any call, for a picture that `check_picture` refuses.
        """
        for data in (picture, reference):
            if fault := check_picture(data):
                raise PictureRefused(fault)
        try:
            async with asyncio.timeout(self._total_s_max):
                return await self._verified(reference, picture, liveness_session_id)
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
