"""Rekognition's answers: those of the protocol are read, every other form counts as no answer."""

from typing import Any

import pytest

from services.auth.faces import Comparison, FacesUnavailable, Liveness, LivenessState
from services.auth.partners.face_answers import comparison_of, liveness_of, session_id_of

SUCCEEDED = {"Status": "SUCCEEDED", "Confidence": 99.5}
NO_PERCENTAGES: list[Any] = [None, "99", True, [], float("nan"), float("inf"), -0.1, 100.1]


@pytest.mark.parametrize(
    ("answer", "liveness"),
    [
        ({"Status": "CREATED"}, Liveness(LivenessState.PENDING)),
        ({"Status": "IN_PROGRESS"}, Liveness(LivenessState.PENDING)),
        ({"Status": "FAILED"}, Liveness(LivenessState.FAILED)),
        ({"Status": "EXPIRED"}, Liveness(LivenessState.FAILED)),
        (SUCCEEDED, Liveness(LivenessState.SUCCEEDED, 99.5, b"")),
        (
            {**SUCCEEDED, "ReferenceImage": {"Bytes": b"face"}},
            Liveness(LivenessState.SUCCEEDED, 99.5, b"face"),
        ),
    ],
)
def test_a_result_of_the_protocol_is_read(answer: dict[str, Any], liveness: Liveness) -> None:
    assert liveness_of(answer) == liveness


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Status": 5},
        {"Status": "succeeded"},
        {"Status": "SUCCEEDED"},
        *({"Status": "SUCCEEDED", "Confidence": value} for value in NO_PERCENTAGES),
        {**SUCCEEDED, "ReferenceImage": [1]},
        {**SUCCEEDED, "ReferenceImage": {"Bytes": "face"}},
    ],
)
def test_a_malformed_result_says_nothing_about_the_person(answer: dict[str, Any]) -> None:
    with pytest.raises(FacesUnavailable):
        liveness_of(answer)


def test_the_faces_of_a_picture_are_counted_and_the_best_similarity_is_kept() -> None:
    match = [{"Similarity": 97}, {"Similarity": 99.5}]
    answer = {"FaceMatches": match, "UnmatchedFaces": [{}]}
    assert comparison_of(answer) == Comparison(3, 99.5)
    assert comparison_of({"FaceMatches": [], "UnmatchedFaces": []}) == Comparison(0)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"FaceMatches": [], "UnmatchedFaces": {}},
        {"FaceMatches": None, "UnmatchedFaces": []},
        {"FaceMatches": [5], "UnmatchedFaces": []},
        {"FaceMatches": [{}], "UnmatchedFaces": []},
        *(
            {"FaceMatches": [{"Similarity": value}], "UnmatchedFaces": []}
            for value in NO_PERCENTAGES
        ),
    ],
)
def test_a_malformed_comparison_says_nothing_about_the_face(answer: dict[str, Any]) -> None:
    with pytest.raises(FacesUnavailable):
        comparison_of(answer)


@pytest.mark.parametrize("answer", [{}, {"SessionId": ""}, {"SessionId": 5}, {"SessionId": []}])
def test_a_liveness_session_has_an_id(answer: dict[str, Any]) -> None:
    assert session_id_of({"SessionId": "one"}) == "one"
    with pytest.raises(FacesUnavailable):
        session_id_of(answer)
