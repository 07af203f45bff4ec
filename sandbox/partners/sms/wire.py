"""The JSON of the SMS API: parses and checks requests, writes answers. No HTTP."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sandbox.partners.refusals import WireError, parsed
from sandbox.partners.sms.endings import REFUSED
from sandbox.partners.sms.messages import Message, Text
from sandbox.partners.sms.parts import parts

BODY_CHARS_MAX = 480
TTL_S_DEFAULT = 4 * 3600
TTL_S_MAX = 48 * 3600
RETRY_AFTER_S = 1
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
"""An alphanumeric sender id; a number in E.164 form may send too."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_RETRIABLE = (429, 503)


class _MessageJson(BaseModel):
    """Body of POST /v1/messages."""

    model_config = ConfigDict(extra="forbid")
    to: Annotated[str, Field(max_length=32)]
    sender: Annotated[str, Field(alias="from", max_length=32)]
    body: Annotated[str, Field(min_length=1, max_length=BODY_CHARS_MAX)]
    reference: Annotated[str, Field(alias="clientReference", max_length=100)] = ""
    ttl_s: int = Field(TTL_S_DEFAULT, alias="ttlSeconds", strict=True, ge=1, le=TTL_S_MAX)


def text_from(body: bytes) -> Text:
    """Parse and validate a message; raise WireError 400."""
    wire = parsed(_MessageJson, body)
    if not _E164.fullmatch(wire.to):
        message = "+ and 7 to 15 digits are required (E.164)"
        raise WireError(400, "INVALID_NUMBER", message, "to")
    if not (_SENDER.fullmatch(wire.sender) or _E164.fullmatch(wire.sender)):
        message = "up to 11 letters, digits or spaces, or a number in E.164 form"
        raise WireError(400, "INVALID_REQUEST", message, "from")
    # A text may have several lines.
    for field, text in (
        ("body", wire.body.replace("\n", "")),
        ("clientReference", wire.reference),
    ):
        if _CONTROL.search(text):
            message = "control characters are not allowed"
            raise WireError(400, "INVALID_REQUEST", message, field)
    return Text(wire.to, wire.sender, wire.body, wire.reference, wire.ttl_s)


def refuse_by_number(number: str) -> None:
    """Raise the WireError that the last digits of a number ask for, if any."""
    refusal = REFUSED.get(number[-4:])
    if refusal is not None:
        status, code, message = refusal
        retry_after_s = RETRY_AFTER_S if status in _RETRIABLE else 0
        raise WireError(status, code, message, retry_after_s=retry_after_s)


def accepted(message: Message) -> dict[str, Any]:
    """Return the answer to an accepted message, always with its state at acceptance."""
    return {
        "messageId": message.id,
        "state": "QUEUED",
        "segments": parts(message.text.body),
        "createTime": rfc3339(message.accepted_at),
    }


def resource(message: Message, now: float) -> dict[str, Any]:
    """Return a message as queries show it, without its text and its number."""
    state = message.state(now)
    shown = {**accepted(message), "state": state, "clientReference": message.text.reference}
    if message.plan.error_code and state is message.plan.end:
        shown["errorCode"] = message.plan.error_code
    return shown


def on_the_phone(message: Message, now: float) -> dict[str, Any]:
    """Return a message with its text and its number, for the control API."""
    text = message.text
    said = {"to": text.to, "from": text.sender, "body": text.body, "ttlSeconds": text.ttl_s}
    return {**resource(message, now), **said}


def rfc3339(at: float) -> str:
    """Return a time in UTC with milliseconds, such as 2026-03-10T14:00:00.000Z."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
