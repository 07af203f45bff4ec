"""Face match: what each result of the face service means."""

import asyncio
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from sandbox.seed.faces import picture
from services.auth.faces import (
    Comparison,
    FaceMatch,
    FacesUnavailable,
    Liveness,
    LivenessState,
    Outcome,
    of_comparisons,
    of_liveness,
)
from services.auth.pictures import Picture, PictureFault, PictureRefused

Answer = TypeVar("Answer")
SESSION = "7e1f2a30-0000-4000-8000-000000000001"
LIVE = Liveness(LivenessState.SUCCEEDED, 99.0, b"the live face")
SAME = Comparison(1, 99.5)
OTHER = Comparison(1, 97.9)


@pytest.mark.parametrize(
    ("liveness", "outcome"),
    [
        (LIVE, None),
        (Liveness(LivenessState.SUCCEEDED, 90.0, b"face"), None),
        (Liveness(LivenessState.SUCCEEDED, 89.9, b"face"), Outcome.NOT_LIVE),
        (Liveness(LivenessState.SUCCEEDED, 99.0), Outcome.NOT_LIVE),
        (Liveness(LivenessState.FAILED, 99.0, b"face"), Outcome.NOT_LIVE),
        (Liveness(LivenessState.PENDING, 99.0, b"face"), Outcome.LIVENESS_PENDING),
    ],
)
def test_only_a_finished_session_with_a_live_face_leads_to_a_comparison(
    liveness: Liveness, outcome: Outcome | None
) -> None:
    assert of_liveness(liveness) is outcome


@pytest.mark.parametrize(
    ("sent", "live", "outcome"),
    [
        (SAME, SAME, Outcome.MATCHED),
        (Comparison(1, 98.0), Comparison(1, 98.0), Outcome.MATCHED),
        (OTHER, SAME, Outcome.OTHER_FACE),
        (SAME, OTHER, Outcome.OTHER_FACE),
        (Comparison(0), SAME, Outcome.NO_FACE),
        (SAME, Comparison(0), Outcome.NO_FACE),
        (Comparison(2, 99.9), SAME, Outcome.SEVERAL_FACES),
        (SAME, Comparison(3, 99.9), Outcome.SEVERAL_FACES),
    ],
)
def test_both_pictures_must_show_one_face_and_it_must_be_the_customers(
    sent: Comparison, live: Comparison, outcome: Outcome
) -> None:
    assert of_comparisons(sent, live) is outcome


@dataclass
class Service:
    """A face service with fixed answers. An answer that is an error is raised."""

    session: Liveness | Exception = LIVE
    compared: Comparison | Exception = SAME
    hangs: bool = False
    calls: list[str] = field(default_factory=list[str])

    async def create_liveness_session(self) -> str:
        self.calls.append("create")
        return await self._answered(SESSION)

    async def liveness(self, session_id: str) -> Liveness:
        self.calls.append(f"liveness {session_id}")
        return await self._answered(self.session)

    async def compare(self, reference: bytes, picture: bytes) -> Comparison:
        self.calls.append("compare")
        return await self._answered(self.compared)

    async def _answered(self, answer: Answer | Exception) -> Answer:
        if self.hangs:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def verified(service: Service, total_s_max: float = 60) -> Outcome:
    match = FaceMatch(service, total_s_max)
    return await match.verify(picture("ana"), Picture(picture("ana", pose=1)), SESSION)


async def test_a_live_person_with_the_customers_face_matches_after_three_calls() -> None:
    service = Service()
    assert await verified(service) is Outcome.MATCHED
    assert service.calls == [f"liveness {SESSION}", "compare", "compare"]


@pytest.mark.parametrize("state", [LivenessState.PENDING, LivenessState.FAILED])
async def test_no_face_is_compared_before_the_liveness_session_has_succeeded(
    state: LivenessState,
) -> None:
    service = Service(session=Liveness(state))
    await verified(service)
    assert service.calls == [f"liveness {SESSION}"]


@pytest.mark.parametrize(
    "service",
    [Service(session=FacesUnavailable()), Service(compared=FacesUnavailable())],
    ids=["liveness", "comparison"],
)
async def test_a_service_without_an_answer_says_nothing_about_the_face(service: Service) -> None:
    assert await verified(service) is Outcome.UNAVAILABLE


async def test_a_verification_that_takes_too_long_is_unavailable() -> None:
    assert await verified(Service(hangs=True), total_s_max=0.01) is Outcome.UNAVAILABLE
    with pytest.raises(FacesUnavailable):
        await FaceMatch(Service(hangs=True), 0.01).begin()


async def test_a_picture_that_the_service_cannot_read_is_refused() -> None:
    service = Service(compared=PictureRefused(PictureFault.NOT_A_PICTURE))
    with pytest.raises(PictureRefused):
        await verified(service)


async def test_a_session_id_comes_from_the_face_service() -> None:
    assert await FaceMatch(Service(), 60).begin() == SESSION


@pytest.mark.parametrize("similarity", [float("nan"), -1.0])
def test_a_similarity_that_is_no_percentage_is_not_the_same_face(similarity: float) -> None:
    assert of_comparisons(SAME, Comparison(1, similarity)) is Outcome.OTHER_FACE
