"""Amazon Rekognition, called by the AWS SDK itself over TLS."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from PIL import Image

from ops.waiting import until
from sandbox.partners.rekognition.liveness import SESSIONS_MAX, Sessions, Status
from sandbox.seed.faces import picture
from tests.contract.partners.processes import Answer, PartnerProcess, running

ACCESS_KEY_ID, SECRET, REGION = "AKIATESTACCESSKEY", "secret-of-the-test-key", "us-east-1"
KEY = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET, "region": REGION}
COMPARE = "POST CompareFaces"
TTL_S = 1.0
SERVER_ERROR = {"kind": "http_5xx", "endpoint": COMPARE}
THROTTLED = {"kind": "reject", "endpoint": COMPARE}


@pytest.fixture(scope="module")
async def aws(
    certs: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PartnerProcess]:
    async with running("rekognition", tmp_path_factory.mktemp("aws"), certs, **KEY) as partner:
        yield partner


@pytest.fixture(autouse=True)
async def clean(aws: PartnerProcess) -> AsyncIterator[None]:
    yield
    await aws.control("DELETE", "/control/faults")


def client(aws: PartnerProcess, **changes: Any) -> Any:
    """Return the SDK's client, with the partner's own key unless the test changes it."""
    settings: dict[str, Any] = {
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY_ID,
        "aws_secret_access_key": SECRET,
        "endpoint_url": aws.url,
        "verify": str(Path(aws.config["tls"]["cert"]).with_name("rekognition-ca.pem")),
        "config": Config(retries={"mode": "standard", "total_max_attempts": 4}, proxies={}),
        **changes,
    }
    return boto3.Session().client("rekognition", **settings)


async def compare(aws: PartnerProcess, source: bytes, target: bytes, **more: Any) -> Any:
    call = partial(
        more.pop("client", None) or client(aws).compare_faces,
        SourceImage={"Bytes": source},
        TargetImage={"Bytes": target},
        **more,
    )
    return await asyncio.to_thread(call)


async def refused(call: Callable[[], Any]) -> tuple[str, int]:
    """Return the error type and the status with which the partner refuses a call."""
    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(call)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


async def upload(aws: PartnerProcess, session_id: str, data: bytes) -> Answer:
    return await aws.call("POST", f"/liveness/{session_id}", data=data)


async def checked(aws: PartnerProcess, data: bytes) -> Any:
    """Run a liveness session with a picture; return its results."""
    sdk = client(aws)
    made = await asyncio.to_thread(sdk.create_face_liveness_session)
    await upload(aws, made["SessionId"], data)
    return await asyncio.to_thread(
        sdk.get_face_liveness_session_results, SessionId=made["SessionId"]
    )


@pytest.mark.parametrize("pose", [1, 2, 3])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
async def test_the_same_person_in_another_pose_matches(
    aws: PartnerProcess, pose: int, form: Any
) -> None:
    answer = await compare(aws, picture("ana"), picture("ana", pose=pose, encoding=form))
    assert answer["FaceMatches"][0]["Similarity"] >= 99
    assert answer["UnmatchedFaces"] == []
    assert 0 < answer["SourceImageFace"]["BoundingBox"]["Width"] < 1


async def test_a_sibling_is_similar_and_a_stranger_is_not(aws: PartnerProcess) -> None:
    for name, low, high in (("ana~twin", 80, 97), ("bo", 0, 50)):
        answer = await compare(aws, picture("ana"), picture(name), SimilarityThreshold=0)
        assert low <= answer["FaceMatches"][0]["Similarity"] < high, name
    answer = await compare(aws, picture("ana"), picture("bo"))
    assert (answer["FaceMatches"], len(answer["UnmatchedFaces"])) == ([], 1)


async def test_each_face_in_the_target_is_listed_as_matched_or_unmatched(
    aws: PartnerProcess,
) -> None:
    answer = await compare(aws, picture("ana"), picture("ana", kind="two", other="bo"))
    assert (len(answer["FaceMatches"]), len(answer["UnmatchedFaces"])) == (1, 1)


@pytest.mark.parametrize("place", ["source", "target"])
async def test_a_picture_without_a_face_is_an_invalid_parameter(
    aws: PartnerProcess, place: str
) -> None:
    empty, face = picture("ana", kind="nobody"), picture("ana")
    images = (empty, face) if place == "source" else (face, empty)
    sdk = client(aws)
    call = partial(
        sdk.compare_faces, SourceImage={"Bytes": images[0]}, TargetImage={"Bytes": images[1]}
    )
    assert await refused(call) == ("InvalidParameterException", 400)


async def test_unusable_pictures_have_the_errors_of_the_real_service(aws: PartnerProcess) -> None:
    out = io.BytesIO()
    Image.new("RGB", (200, 200)).save(out, "GIF")
    sdk, face = client(aws), {"Bytes": picture("ana")}
    damaged = picture("ana", encoding="PNG")[:400]
    for data, kind in (
        (out.getvalue(), "InvalidImageFormatException"),
        (b"text", "InvalidImageFormatException"),
        (damaged, "InvalidImageFormatException"),
        (picture("ana", side_px=79), "InvalidParameterException"),
        (bytes(5 * 1024 * 1024 + 1), "ImageTooLargeException"),
    ):
        call = partial(sdk.compare_faces, SourceImage=face, TargetImage={"Bytes": data})
        assert (await refused(call))[0] == kind


async def test_a_live_face_passes_and_its_picture_matches_the_person(aws: PartnerProcess) -> None:
    results = await checked(aws, picture("ana", pose=2))
    assert results["Status"] == "SUCCEEDED"
    assert results["Confidence"] > 99
    reference = results["ReferenceImage"]["Bytes"]
    answer = await compare(aws, picture("ana"), reference)
    assert answer["FaceMatches"][0]["Similarity"] >= 99


async def test_a_photograph_of_a_photograph_has_a_low_confidence(aws: PartnerProcess) -> None:
    printed = picture("ana", kind="photo_of_photo")
    results = await checked(aws, printed)
    assert (results["Status"], results["Confidence"] < 50) == ("SUCCEEDED", True)
    answer = await compare(aws, picture("ana"), printed)
    assert answer["FaceMatches"][0]["Similarity"] >= 98


@pytest.mark.parametrize("kind", ["nobody", "two"])
async def test_liveness_fails_unless_exactly_one_face_is_there(
    aws: PartnerProcess, kind: Any
) -> None:
    results = await checked(aws, picture("ana", kind=kind))
    assert results["Status"] == "FAILED"
    assert "ReferenceImage" not in results


async def test_a_session_is_used_once_and_an_unknown_one_is_not_found(
    aws: PartnerProcess,
) -> None:
    sdk = client(aws)
    made = await asyncio.to_thread(sdk.create_face_liveness_session)
    results = partial(sdk.get_face_liveness_session_results, SessionId=made["SessionId"])
    assert (await asyncio.to_thread(results))["Status"] == "CREATED"
    statuses = [(await upload(aws, made["SessionId"], picture("ana"))).status for _ in range(2)]
    assert statuses == [200, 409]
    unknown = "00000000-0000-4000-8000-000000000000"
    assert (await upload(aws, unknown, picture("ana"))).status == 400
    call = partial(sdk.get_face_liveness_session_results, SessionId=unknown)
    assert (await refused(call))[0] == "SessionNotFoundException"


async def test_a_repeated_client_token_returns_the_same_session(aws: PartnerProcess) -> None:
    create = client(aws).create_face_liveness_session
    ids = [
        (await asyncio.to_thread(create, ClientRequestToken=token))["SessionId"]
        for token in ("one", "one", "two")
    ]
    assert ids[0] == ids[1] != ids[2]


async def test_an_expired_session_keeps_no_picture(certs: Path, tmp_path: Path) -> None:
    async with running("rekognition", tmp_path, certs, **KEY, liveness_ttl_s=TTL_S) as aws:
        sdk = client(aws)
        made = await asyncio.to_thread(sdk.create_face_liveness_session)
        results = partial(sdk.get_face_liveness_session_results, SessionId=made["SessionId"])

        async def expired() -> Any:
            answer = await asyncio.to_thread(results)
            return answer if answer["Status"] == "EXPIRED" else None

        answer = await until(expired, 10, "the session expires")
        assert "ReferenceImage" not in answer
        assert (await upload(aws, made["SessionId"], picture("ana"))).status == 409


def test_the_number_of_sessions_is_limited_and_expired_ones_make_room() -> None:
    now = [0.0]
    sessions = Sessions(180, lambda: now[0])
    first = sessions.create("", 0)
    for _ in range(SESSIONS_MAX - 1):
        sessions.create("", 0)
    with pytest.raises(Exception, match="Provisioned rate exceeded"):
        sessions.create("", 0)
    now[0] = 181.0
    assert sessions.create("", 0).status is Status.CREATED
    assert len(sessions) == SESSIONS_MAX
    with pytest.raises(Exception, match="Session not found"):
        sessions.find(first.id)


async def test_wrong_credentials_have_the_error_types_of_aws(aws: PartnerProcess) -> None:
    for changes, kind in (
        ({"aws_secret_access_key": "another-secret"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAUNKNOWN"}, "UnrecognizedClientException"),
        ({"region_name": "eu-west-1"}, "InvalidSignatureException"),
    ):
        sdk = client(aws, **changes)
        assert await refused(sdk.create_face_liveness_session) == (kind, 400)


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_a_clock_that_differs_by_more_than_five_minutes_is_refused(
    aws: PartnerProcess, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: at)
    sdk = client(aws)
    assert (await refused(sdk.create_face_liveness_session))[0] == "InvalidSignatureException"


async def test_a_clock_that_differs_by_four_minutes_is_accepted(
    aws: PartnerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime.now(UTC) - timedelta(minutes=4)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: at)
    assert await asyncio.to_thread(client(aws).create_face_liveness_session)


def with_body(body: bytes) -> Callable[..., None]:
    """Return a handler that replaces a request's body before its signature."""

    def change(request: Any, **_: Any) -> None:
        request.data = body

    return change


async def signed_headers(aws: PartnerProcess) -> dict[str, str]:
    """Return the headers of a correctly signed request with the body {}."""
    signed: dict[str, str] = {}
    sdk = client(aws)

    def keep(request: Any, **_: Any) -> None:
        for name, value in request.headers.items():
            signed[name] = value.decode() if isinstance(value, bytes) else value

    sdk.meta.events.register("before-send.rekognition", keep)
    await asyncio.to_thread(sdk.create_face_liveness_session)
    return signed


async def test_a_request_that_changed_after_its_signature_is_refused(aws: PartnerProcess) -> None:
    headers = await signed_headers(aws)
    assert (await aws.call("POST", "/", data=b"{}", headers=headers)).status == 200
    other = {**headers, "X-Amz-Target": "RekognitionService.CompareFaces"}
    bare = {name: value for name, value in headers.items() if name != "Authorization"}
    cut = {**headers, "Authorization": headers["Authorization"].split(",")[0]}
    unsigned = {**headers, "X-Amz-Security-Token": "not signed"}
    length = {"Content-Length": "3"}
    for sent, body, kind in (
        (headers | length, b"{ }", "InvalidSignatureException"),
        (other, b"{}", "InvalidSignatureException"),
        (unsigned, b"{}", "InvalidSignatureException"),
        (bare, b"{}", "MissingAuthenticationTokenException"),
        (cut, b"{}", "IncompleteSignatureException"),
    ):
        answer = await aws.call("POST", "/", data=body, headers=sent)
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, kind)
        assert answer.body["__type"] == kind
        assert answer.headers["x-amzn-RequestId"]


@pytest.mark.parametrize(
    "fault",
    [
        THROTTLED,
        THROTTLED | {"params": {"reason": "ProvisionedThroughputExceededException"}},
        SERVER_ERROR,
        SERVER_ERROR | {"params": {"status": 503}},
        {"kind": "reset", "endpoint": COMPARE},
    ],
    ids=["throttled", "throughput", "500", "503", "reset"],
)
async def test_the_sdk_retries_three_times(aws: PartnerProcess, fault: dict[str, Any]) -> None:
    await aws.fault(**fault, count=3)
    before = (await aws.control("GET", "/control/state")).body["faultsFired"]
    answer = await compare(aws, picture("ana"), picture("ana", pose=1))
    assert answer["FaceMatches"]
    assert (await aws.control("GET", "/control/state")).body["faultsFired"] == before + 3


async def test_a_fault_hits_only_its_operation_and_has_an_aws_error(aws: PartnerProcess) -> None:
    await aws.fault(**SERVER_ERROR)
    once = Config(retries={"mode": "standard", "total_max_attempts": 1})
    sdk, image = client(aws, config=once), {"Bytes": picture("ana")}
    await asyncio.to_thread(sdk.create_face_liveness_session)
    call = partial(sdk.compare_faces, SourceImage=image, TargetImage=image)
    assert await refused(call) == ("InternalServerError", 500)


async def test_an_unknown_operation_and_a_body_that_is_not_json_are_refused(
    aws: PartnerProcess,
) -> None:
    image = {"Bytes": picture("ana")}
    sdk = client(aws)
    assert (await refused(partial(sdk.detect_faces, Image=image)))[0] == "UnknownOperationException"
    sdk.meta.events.register("before-sign.rekognition", with_body(b"{"))
    call = partial(sdk.compare_faces, SourceImage=image, TargetImage=image)
    assert (await refused(call))[0] == "SerializationException"


async def test_a_picture_is_base64_and_never_comes_from_s3(aws: PartnerProcess) -> None:
    sdk, face = client(aws), {"Bytes": picture("ana")}
    stored = {"S3Object": {"Bucket": "bucket", "Name": "face"}}
    call = partial(sdk.compare_faces, SourceImage=face, TargetImage=stored)
    assert (await refused(call))[0] == "InvalidS3ObjectException"
    body = b'{"SourceImage": {"Bytes": "!"}, "TargetImage": {"Bytes": "%s"}}'
    sent = body % base64.b64encode(picture("ana"))
    sdk.meta.events.register("before-sign.rekognition", with_body(sent))
    call = partial(sdk.compare_faces, SourceImage=face, TargetImage=face)
    assert (await refused(call))[0] == "SerializationException"


async def test_one_process_stays_small(aws: PartnerProcess) -> None:
    assert aws.rss_mib() < 80
