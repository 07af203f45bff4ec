"""FCM's public API: messages:send and Google's token endpoint, with Google's error bodies.

Some endings of the device token cause errors: -gone, -invalid, -quota, -unavailable, -mismatch.
"""

import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.partners.fcm.devices import Devices
from sandbox.partners.fcm.tokens import GrantError, TokenIssuer
from sandbox.partners.server import answer

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
DATA_BYTES_MAX = 4096
NOT_FOUND = "Requested entity was not found."
# Ending of the device token → (HTTP status, google.rpc code, FCM error code, message).
ENDINGS = {
    "-gone": (404, "NOT_FOUND", "UNREGISTERED", NOT_FOUND),
    "-invalid": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", "The registration token is invalid"),
    "-quota": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Device message rate exceeded."),
    "-unavailable": (503, "UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable."),
    "-mismatch": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", "SenderId mismatch"),
}
RETRY_AFTER_S = {429: "60", 503: "10"}
UNAUTHENTICATED = (
    "Request had invalid authentication credentials. "
    "Expected OAuth 2 access token, login cookie or other valid authentication credential."
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Notification(_Part):
    title: str = ""
    body: str = ""
    image: str = ""


class _Android(BaseModel):
    """Only the collapse tag is read; other fields are kept unchanged."""

    model_config = ConfigDict(extra="allow")
    notification: dict[str, Any] = Field(default_factory=dict)


class _Apns(BaseModel):
    model_config = ConfigDict(extra="allow")
    headers: dict[str, str] = Field(default_factory=dict)


class _Message(_Part):
    """A message to one device. Topics and conditions are not supported."""

    token: Annotated[str, Field(min_length=1, max_length=4096)]
    name: str = ""
    notification: _Notification | None = None
    data: dict[str, str] = Field(default_factory=dict)
    android: _Android = Field(default_factory=_Android)
    apns: _Apns = Field(default_factory=_Apns)
    webpush: dict[str, Any] = Field(default_factory=dict)
    fcm_options: dict[str, Any] = Field(default_factory=dict)


class _Send(_Part):
    message: _Message
    validate_only: bool = False


class Messaging:
    """Endpoints on the public port."""

    def __init__(self, project_id: str, issuer: TokenIssuer, devices: Devices) -> None:
        """One project, one service account."""
        self._project_id = project_id
        self._issuer = issuer
        self._devices = devices
        self.refused: Counter[str] = Counter()

    async def token(self, request: web.Request) -> web.StreamResponse:
        """POST /token of oauth2.googleapis.com."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            return answer(self._issuer.exchange(form))
        except GrantError as error:
            return answer({"error": error.code, "error_description": str(error)}, 400)

    async def send(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/projects/{project}/messages:send."""
        if not self._issuer.is_valid(request.headers.get("Authorization", "")):
            return self._refuse(401, "UNAUTHENTICATED", "UNAUTHENTICATED", UNAUTHENTICATED)
        project = request.match_info["project"]
        if project != self._project_id:
            denied = f"Permission denied on resource project {project}."
            return self._refuse(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH", denied)
        try:
            sent = _Send.model_validate_json(await request.read())
        except ValidationError as error:
            return self._bad_request(error)
        return self._deliver(sent, request.headers.get("X-Request-Id", ""))

    def _deliver(self, sent: _Send, call_id: str) -> web.StreamResponse:
        message = sent.message.model_dump(exclude_defaults=True)
        for ending, (status, code, fcm_code, text) in ENDINGS.items():
            if message["token"].endswith(ending):
                return self._refuse(status, code, fcm_code, text)
        if sum(len(k.encode()) + len(v.encode()) for k, v in sent.message.data.items()) > (
            DATA_BYTES_MAX
        ):
            text = "Android message is too big"
            return self._refuse(400, "INVALID_ARGUMENT", "INVALID_ARGUMENT", text)
        message_id = f"projects/{self._project_id}/messages/{uuid.uuid4().hex}"
        if not sent.validate_only:
            self._devices.deliver(message_id, message, datetime.now(UTC).isoformat(), call_id)
        return answer({"name": message_id})

    def _refuse(self, status: int, code: str, fcm_code: str, message: str) -> web.Response:
        self.refused[fcm_code] += 1
        details = [{"@type": FCM_ERROR, "errorCode": fcm_code}]
        headers = {"Retry-After": RETRY_AFTER_S[status]} if status in RETRY_AFTER_S else None
        return answer(_error(status, code, message, details), status, headers)

    def _bad_request(self, error: ValidationError) -> web.Response:
        self.refused["INVALID_ARGUMENT"] += 1
        violations = [
            {"field": ".".join(map(str, item["loc"])), "description": item["msg"]}
            for item in error.errors(include_url=False, include_input=False)
        ]
        details = [
            {"@type": FCM_ERROR, "errorCode": "INVALID_ARGUMENT"},
            {"@type": BAD_REQUEST, "fieldViolations": violations},
        ]
        message = f"Invalid JSON payload received. {violations[0]['description']}"
        return answer(_error(400, "INVALID_ARGUMENT", message, details), 400)


def _error(status: int, code: str, message: str, details: list[dict[str, Any]]) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": code, "details": details}}
