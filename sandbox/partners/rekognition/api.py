"""The operations on the public port, and the phone's upload, which is the sandbox's own.

With AWS, the phone's SDK streams a video over a WebSocket straight to AWS. Here the phone sends
one picture instead: `POST /liveness/{sessionId}` with the picture as the body.
"""

import asyncio
import base64
import binascii
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from sandbox.partners.rekognition import pictures, signatures
from sandbox.partners.rekognition.errors import (
    AwsError,
    answered,
    invalid_parameter,
    refused,
    throttled,
)
from sandbox.partners.rekognition.liveness import Sessions, SessionUsed, results

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
TARGET_PREFIX = "RekognitionService."
SIMILARITY_DEFAULT = 80.0
FACE_CONFIDENCE = 99.9
REQUESTS_MAX = 32
"""The largest number of requests in flight; each holds its pictures in memory."""


class _Image(BaseModel):
    data: str = Field(default="", alias="Bytes")
    s3_object: dict[str, Any] | None = Field(default=None, alias="S3Object")


class _Compare(BaseModel):
    source: _Image = Field(alias="SourceImage")
    target: _Image = Field(alias="TargetImage")
    threshold: float = Field(default=SIMILARITY_DEFAULT, alias="SimilarityThreshold", ge=0, le=100)


class _LivenessSettings(BaseModel):
    audit_images: int = Field(default=0, alias="AuditImagesLimit", ge=0, le=4)


class _CreateLiveness(BaseModel):
    settings: _LivenessSettings = Field(default_factory=_LivenessSettings, alias="Settings")
    token: Annotated[str, Field(max_length=64, pattern=r"^[a-zA-Z0-9_-]*$")] = Field(
        default="", alias="ClientRequestToken"
    )


class _LivenessResults(BaseModel):
    session_id: str = Field(alias="SessionId", min_length=36, max_length=36)


def operation(request: web.Request) -> str:
    """Return the operation's name; for the phone's upload, its path."""
    target = request.headers.get("X-Amz-Target", "")
    return target.removeprefix(TARGET_PREFIX) if request.path == "/" else request.path


class Rekognition:
    """Endpoints on the public port."""

    def __init__(self, key: signatures.Key, sessions: Sessions) -> None:
        """One customer with one access key."""
        self._key = key
        self._sessions = sessions
        self._in_flight = 0
        self._operations: dict[str, Callable[[bytes], Awaitable[dict[str, Any]]]] = {
            "CompareFaces": self._compare,
            "CreateFaceLivenessSession": self._create,
            "GetFaceLivenessSessionResults": self._results,
        }
        self.calls: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def counts(self) -> dict[str, Any]:
        """Return the counters of the control API."""
        return {
            "calls": dict(self.calls),
            "refused": dict(self.refused),
            "livenessSessions": len(self._sessions),
        }

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Limit the requests in flight, verify the signature, and write errors as AWS does."""
        self._in_flight += 1
        try:
            if self._in_flight > REQUESTS_MAX:
                raise throttled()
            if request.path == "/":
                signatures.verify(await _parts(request), self._key, datetime.now(UTC))
            return await handler(request)
        except AwsError as error:
            self.refused[error.kind] += 1
            return refused(error.status, error.kind, str(error))
        finally:
            self._in_flight -= 1

    async def call(self, request: web.Request) -> web.StreamResponse:
        """POST / with the operation in X-Amz-Target."""
        name = operation(request)
        found = self._operations.get(name)
        if found is None:
            raise AwsError("UnknownOperationException", "The operation does not exist")
        self.calls[name] += 1
        try:
            return answered(await found(await request.read()))
        except ValidationError as error:
            if any(item["type"] == "json_invalid" for item in error.errors(include_input=False)):
                raise AwsError("SerializationException", "The body is not JSON") from error
            raise invalid_parameter() from error

    async def upload(self, request: web.Request) -> web.StreamResponse:
        """POST /liveness/{id}: the phone's picture. The session id is the only credential."""
        try:
            session = await self._sessions.stream(request.match_info["id"], await request.read())
        except SessionUsed as error:
            raise AwsError("ConflictException", "The session was already used", 409) from error
        return answered({"sessionId": session.id, "status": session.status})

    async def _compare(self, body: bytes) -> dict[str, Any]:
        asked = _Compare.model_validate_json(body)
        sources = await _faces(asked.source)
        targets = await _faces(asked.target)
        source = sources[0]
        scored = [(pictures.similarity(source, face), face) for face in targets]
        scored.sort(key=lambda pair: pair[0], reverse=True)
        return {
            "SourceImageFace": _view(source),
            "FaceMatches": [
                {"Similarity": score, "Face": _view(face)}
                for score, face in scored
                if score >= asked.threshold
            ],
            "UnmatchedFaces": [_view(face) for score, face in scored if score < asked.threshold],
        }

    async def _create(self, body: bytes) -> dict[str, Any]:
        asked = _CreateLiveness.model_validate_json(body or b"{}")
        return {"SessionId": self._sessions.create(asked.token, asked.settings.audit_images).id}

    async def _results(self, body: bytes) -> dict[str, Any]:
        asked = _LivenessResults.model_validate_json(body)
        return results(self._sessions.find(asked.session_id), _base64)


async def _parts(request: web.Request) -> signatures.Request:
    headers = {name.lower(): tuple(request.headers.getall(name)) for name in request.headers}
    return signatures.Request(
        request.method, request.path, request.query_string, headers, await request.read()
    )


async def _faces(image: _Image) -> list[pictures.Face]:
    """Return the faces, at least one; a picture without a face is an invalid parameter."""
    if image.s3_object is not None:
        raise AwsError("InvalidS3ObjectException", "Unable to get object metadata from S3")
    try:
        data = base64.b64decode(image.data, validate=True)
    except binascii.Error as error:
        raise AwsError("SerializationException", "Bytes is not base64") from error
    found = await asyncio.to_thread(pictures.faces, data)
    if not found:
        raise invalid_parameter()
    return found


def _view(face: pictures.Face) -> dict[str, Any]:
    return {"BoundingBox": face.box.view(), "Confidence": FACE_CONFIDENCE}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
