"""Reads Rekognition's answers strictly: a value of another form counts as no answer.

The SDK passes most values on as they are. Nothing here does I/O.
"""

from collections.abc import Mapping
from typing import Any, cast

import structlog

from services.auth.faces import Comparison, FacesUnavailable, Liveness, LivenessState

PARTNER = "rekognition"
"""The partner's name in the log."""
PERCENT_MAX = 100.0
_STATES = {
    "CREATED": LivenessState.PENDING,
    "IN_PROGRESS": LivenessState.PENDING,
    "SUCCEEDED": LivenessState.SUCCEEDED,
    "FAILED": LivenessState.FAILED,
    "EXPIRED": LivenessState.FAILED,
}

log = structlog.get_logger()


def session_id_of(answer: Mapping[str, Any]) -> str:
    """Return the id of a new liveness session; raise FacesUnavailable without one."""
    return _text(answer, "SessionId")


def liveness_of(answer: Mapping[str, Any]) -> Liveness:
    """Return the result of a liveness session; raise FacesUnavailable for a malformed one."""
    state = _STATES.get(_text(answer, "Status"))
    if state is None:
        raise _unexpected("Status")
    if state is not LivenessState.SUCCEEDED:
        return Liveness(state)
    image = _fields(answer.get("ReferenceImage") or {}, "ReferenceImage")
    reference = image.get("Bytes", b"")
    if not isinstance(reference, bytes):
        raise _unexpected("ReferenceImage")
    return Liveness(state, _percent(answer, "Confidence"), reference)


def comparison_of(answer: Mapping[str, Any]) -> Comparison:
    """Return how many faces a picture has, and the best similarity; raise FacesUnavailable."""
    matches, others = _faces(answer, "FaceMatches"), _faces(answer, "UnmatchedFaces")
    scores = [_percent(_fields(match, "FaceMatches"), "Similarity") for match in matches]
    return Comparison(len(matches) + len(others), max(scores, default=0.0))


def _text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not value:
        raise _unexpected(name)
    return value


def _percent(answer: Mapping[str, Any], name: str) -> float:
    """Return a number from 0 to 100; NaN is outside, because no comparison with it is true."""
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _unexpected(name)
    if not 0.0 <= value <= PERCENT_MAX:
        raise _unexpected(name)
    return float(value)


def _faces(answer: Mapping[str, Any], name: str) -> list[Any]:
    value = answer.get(name)
    if not isinstance(value, list):
        raise _unexpected(name)
    return cast("list[Any]", value)


def _fields(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _unexpected(name)
    return cast("dict[str, Any]", value)


def _unexpected(name: str) -> FacesUnavailable:
    log.warning(f"{PARTNER}.unexpected_answer", field=name)
    return FacesUnavailable(name)
