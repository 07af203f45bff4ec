"""The face match through a real sidecar, to a real Rekognition: the SDK opens no connection itself.

The sidecar runs the bank's own configuration; only its times are shorter.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from mesh import ctl
from ops.waiting import scaled_s, until
from sandbox.seed.faces import picture
from services.auth.faces import FaceMatch, FacesUnavailable, Outcome
from services.auth.partners.rekognition import Access, FacesBusy, Limits, Rekognition
from services.auth.pictures import Picture, PictureRefused
from tests.contract.mesh.conftest import timed
from tests.contract.partners.processes import PartnerProcess, running
from tests.rigs.mesh.proxies import Rig

HOST = "rekognition.us-east-1.amazonaws.com"
FILE = "rekognition.yaml"
ACCESS = Access("AKIATESTACCESSKEY", "secret-of-the-test-key", "us-east-1")
COMPARE = "POST CompareFaces"
CREATE = "POST CreateFaceLivenessSession"
SERVER_ERROR = {"kind": "http_5xx", "endpoint": COMPARE}
THROTTLED = {"kind": "reject", "endpoint": COMPARE}
TOTAL_S = 60.0
"""Only catches a hang."""
LARGE_PX = 1300
OPEN = "baseEjectionTime: 30s"
"""How long the bank's own breaker stays open."""


@dataclass
class Faces:
    """The sidecar of auth, and Rekognition that it calls."""

    rig: Rig
    aws: PartnerProcess
    client: Rekognition

    def renew_client(self) -> None:
        """Replace the client: the SDK stops to retry when its retries, a quota, are used up."""
        self.client.close()
        self.client = Rekognition(self.rig.socket_out("auth"), ACCESS)

    @property
    def match(self) -> FaceMatch:
        """The bank's face match."""
        return FaceMatch(self.client, scaled_s(TOTAL_S))

    async def verify(self, live: bytes | None, sent: bytes, **more: Any) -> Outcome:
        """Verify ana: her phone sees `live`, None for a phone that does nothing, and she sends
        `sent`."""
        match = more.pop("match", self.match)
        session_id = await match.begin()
        if live is not None:
            await self.aws.call("POST", f"/liveness/{session_id}", data=live)
        return await match.verify(picture("ana"), Picture(sent), session_id)

    async def calls(self) -> int:
        """Return how many requests the sidecar has sent to Rekognition."""
        stats = await self.rig.stats("auth", f"partner/{HOST}.upstream_rq_total")
        return stats[f"cluster.partner/{HOST}.upstream_rq_total"]


@pytest.fixture(scope="module")
async def faces(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faces]:
    rig, folder = Rig(), tmp_path_factory.mktemp("rekognition")
    config = rig.home / "config"
    shutil.copytree(ctl.CONFIG, config)
    text = timed(config / "partners" / FILE)
    assert OPEN in text
    (config / "partners" / FILE).write_text(text.replace(OPEN, "baseEjectionTime: 1s"))
    rig.render(config)
    server = rig.home / "partners" / HOST
    shutil.copy(rig.server_ca["rekognition"].pem, folder / "rekognition-ca.pem")
    tls = {"cert": str(server / "cert.pem"), "key": str(server / "key.pem")}
    key = {"access_key_id": ACCESS.access_key_id, "secret_access_key": ACCESS.secret_access_key}
    port = rig.partner_port[HOST]
    try:
        async with running("rekognition", folder, folder, port=port, tls=tls, **key) as aws:
            await rig.start(["auth"])
            faces = Faces(rig, aws, Rekognition(rig.socket_out("auth"), ACCESS))
            yield faces
            faces.client.close()
    finally:
        await rig.close()


@pytest.fixture(autouse=True)
async def calm(faces: Faces) -> AsyncIterator[None]:
    """End with a partner without faults, a closed breaker and a client that retries."""
    yield
    await faces.aws.control("DELETE", "/control/faults")
    faces.renew_client()

    async def reached() -> bool:
        # Envoy tells its worker of a change of health up to a second late if another change came
        # less than a second before. Until then the worker calls an address that is ejected.
        stat = f"partner/{HOST}.outlier_detection.ejections_active"
        if (await faces.rig.stats("auth", stat))[f"cluster.{stat}"] != 0:
            return False
        try:
            return bool(await faces.match.begin())
        except FacesUnavailable:
            return False

    await until(reached, 30, "the breaker closes")


@pytest.mark.parametrize(
    ("live", "sent", "outcome"),
    [
        (picture("ana", pose=1), picture("ana", pose=2), Outcome.MATCHED),
        (picture("ana", pose=1), picture("ana", pose=2, encoding="PNG"), Outcome.MATCHED),
        (picture("ana", pose=1), picture("bo"), Outcome.OTHER_FACE),
        (picture("bo", pose=1), picture("ana"), Outcome.OTHER_FACE),
        (picture("ana~twin"), picture("ana"), Outcome.OTHER_FACE),
        (picture("ana", kind="photo_of_photo"), picture("ana"), Outcome.NOT_LIVE),
        (picture("ana", kind="nobody"), picture("ana"), Outcome.NOT_LIVE),
        (picture("ana", kind="two", other="bo"), picture("ana"), Outcome.NOT_LIVE),
        (picture("ana"), picture("ana", kind="nobody"), Outcome.NO_FACE),
        (picture("ana"), picture("ana", kind="two", other="bo"), Outcome.SEVERAL_FACES),
        (None, picture("ana"), Outcome.LIVENESS_PENDING),
    ],
)
async def test_each_result_is_an_outcome_of_its_own(
    faces: Faces, live: bytes | None, sent: bytes, outcome: Outcome
) -> None:
    assert await faces.verify(live, sent) is outcome


async def test_a_picture_of_more_than_a_megabyte_passes_the_sidecar(faces: Faces) -> None:
    large = picture("ana", pose=1, side_px=LARGE_PX, encoding="PNG")
    assert 1_000_000 < len(large) < 1_500_000
    assert await faces.verify(picture("ana"), large) is Outcome.MATCHED


async def test_a_session_that_the_bank_did_not_begin_is_not_live(faces: Faces) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    outcome = await faces.match.verify(picture("ana"), Picture(picture("ana")), unknown)
    assert outcome is Outcome.NOT_LIVE


async def test_an_unusable_picture_costs_no_call(faces: Faces) -> None:
    before = await faces.calls()
    with pytest.raises(PictureRefused):
        await faces.verify(None, bytes(5 * 1024 * 1024))
    # Only the liveness session that `verify` begins.
    assert await faces.calls() == before + 1


@pytest.mark.parametrize("fault", [THROTTLED, SERVER_ERROR], ids=["throttled", "500"])
async def test_the_sdk_retries_and_the_sidecar_does_not(
    faces: Faces, fault: dict[str, Any]
) -> None:
    before = await faces.calls()
    await faces.aws.fault(**fault, count=3)
    assert await faces.verify(picture("ana"), picture("ana")) is Outcome.MATCHED
    # Create, results and two comparisons, of which three tries failed.
    assert await faces.calls() == before + 7


@pytest.mark.parametrize(
    "fault",
    [
        THROTTLED,
        SERVER_ERROR,
        {"kind": "hang", "endpoint": COMPARE},
        {"kind": "reset", "endpoint": COMPARE},
        {"kind": "wrong_answer", "endpoint": COMPARE},
        {"kind": "wrong_answer", "endpoint": COMPARE, "params": {"body": {"FaceMatches": []}}},
        {"kind": "wrong_answer", "endpoint": COMPARE, "params": {"body": []}},
        {"kind": "reject", "endpoint": COMPARE, "params": {"reason": "AccessDeniedException"}},
        {"kind": "http_5xx", "endpoint": "POST GetFaceLivenessSessionResults"},
    ],
    ids=["throttled", "500", "hang", "reset", "cut", "wrong", "list", "denied", "results"],
)
async def test_a_failing_service_says_nothing_about_the_face(
    faces: Faces, fault: dict[str, Any]
) -> None:
    match = faces.match
    session_id = await match.begin()
    await faces.aws.call("POST", f"/liveness/{session_id}", data=picture("ana"))
    await faces.aws.fault(**fault)
    outcome = await match.verify(picture("ana"), Picture(picture("ana")), session_id)
    assert outcome is Outcome.UNAVAILABLE


async def test_a_service_that_is_down_is_unavailable_until_it_is_back(faces: Faces) -> None:
    await faces.aws.kill()
    with pytest.raises(FacesUnavailable):
        await faces.match.begin()
    unknown = "00000000-0000-4000-8000-000000000000"
    outcome = await faces.match.verify(picture("ana"), Picture(picture("ana")), unknown)
    assert outcome is Outcome.UNAVAILABLE
    await faces.aws.start()


async def test_five_failures_open_the_breaker_which_answers_without_a_call(faces: Faces) -> None:
    await faces.aws.fault(kind="http_5xx", endpoint=CREATE)
    for _ in range(2):
        with pytest.raises(FacesUnavailable):
            await faces.match.begin()
    stats = await faces.rig.stats("auth", f"partner/{HOST}.outlier_detection")
    opened = f"cluster.partner/{HOST}.outlier_detection.ejections_enforced_total"
    assert stats[opened] >= 1


async def test_a_wrong_key_is_unavailable_and_not_the_customers_fault(faces: Faces) -> None:
    wrong = Access(ACCESS.access_key_id, "another-secret", "us-east-1")
    client = Rekognition(faces.rig.socket_out("auth"), wrong)
    with pytest.raises(FacesUnavailable):
        await FaceMatch(client, scaled_s(TOTAL_S)).begin()
    client.close()
    assert "another-secret" not in repr(wrong)


async def test_calls_beyond_the_queue_are_refused_and_a_place_becomes_free(faces: Faces) -> None:
    limits = Limits(threads_max=1, waiting_max=1)
    client = Rekognition(faces.rig.socket_out("auth"), ACCESS, limits)
    match = FaceMatch(client, scaled_s(TOTAL_S))
    calls = [asyncio.create_task(match.begin()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(FacesBusy):
        await match.begin()
    assert len(set(await asyncio.gather(*calls))) == 2

    async def free() -> bool:
        return bool(await match.begin())

    await until(free, 10, "a place is free")
    client.close()


async def test_the_environment_changes_neither_the_key_nor_the_way_out(
    faces: Faces, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile other]\nregion = eu-west-1\n")
    for name, value in {
        "AWS_PROFILE": "missing",
        "AWS_ACCESS_KEY_ID": "AKIAOFTHEENVIRONMENT",
        "AWS_SECRET_ACCESS_KEY": "of-the-environment",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_CA_BUNDLE": str(tmp_path / "missing.pem"),
        "AWS_MAX_ATTEMPTS": "1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    client = Rekognition(faces.rig.socket_out("auth"), ACCESS)
    assert await FaceMatch(client, scaled_s(TOTAL_S)).begin()
    client.close()


async def test_only_auth_may_call_rekognition(faces: Faces) -> None:
    await faces.rig.start(["payments"])
    connector = aiohttp.UnixConnector(str(faces.rig.socket_out("payments")))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"http://{HOST}/", data=b"{}") as response,
    ):
        assert response.status == 403
