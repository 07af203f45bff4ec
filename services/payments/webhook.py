"""The clearing house's notice: its signature, its age and its form. Pure.

Header Ach-Signature: `t=<unix seconds>,v1=<hex HMAC-SHA-256 of "<t>.<body>">`. A replay within
the tolerance is harmless, because the bank applies each notice id once.
"""

import hashlib
import hmac
import uuid
from dataclasses import replace
from typing import Any, cast

import orjson

from services.nacha import return_code
from services.payments.errors import WebhookMalformed, WebhookSignatureInvalid
from services.payments.saga import NOTICE_TYPES, fact_of_notice
from services.payments.state import Event
from services.payments.transfer import Fact, Notice

TOLERANCE_S = 300
_TEXT_MAX = 255
_DIGEST_CHARS = 16


def require_signature(header: str, body: bytes, secret: bytes, now_s: int) -> None:
    """Raise WebhookSignatureInvalid unless the header signs this body and is recent."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    signed_at, signature = parts.get("t", ""), parts.get("v1", "")
    if not (signed_at.isascii() and signed_at.isdigit() and len(signed_at) <= 12):
        raise WebhookSignatureInvalid
    expected = hmac.new(secret, signed_at.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise WebhookSignatureInvalid
    if abs(now_s - int(signed_at)) > TOLERANCE_S:
        raise WebhookSignatureInvalid


def read_notice(body: bytes) -> Notice:
    """Return the notice in a body, or raise WebhookMalformed.

    A notice of an unknown type may have any data: a person reads it.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise WebhookMalformed from None
    if not isinstance(document, dict):
        raise WebhookMalformed
    fields = cast("dict[str, Any]", document)
    if _text(fields, "type") in NOTICE_TYPES.values():
        return _known(fields)
    return _unknown(fields, body)


def _known(fields: dict[str, Any]) -> Notice:
    if not isinstance(fields.get("data"), dict):
        raise WebhookMalformed
    data = cast("dict[str, Any]", fields["data"])
    notice = Notice(
        notice_id=_text(fields, "id"),
        type=_text(fields, "type"),
        trace_number=_text(data, "achTraceNumber", needed=False),
        transfer_id=_uuid(_text(data, "idempotencyKey", needed=False)),
        return_code=_text(data, "returnReasonCode", needed=False),
    )
    fact = fact_of_notice(notice)
    if fact is None or not (notice.trace_number or notice.transfer_id):
        raise WebhookMalformed
    if not _agrees(fact, _text(data, "state", needed=False), notice.return_code):
        raise WebhookMalformed
    return notice


def _unknown(fields: dict[str, Any], body: bytes) -> Notice:
    """Return a notice of an unknown type, with the transfer that it seems to name."""
    data = fields.get("data")
    named = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    return Notice(
        notice_id=_text(fields, "id"),
        type=_text(fields, "type"),
        trace_number="",
        transfer_id=_uuid(str(named.get("idempotencyKey"))),
        return_code="",
        content=body,
    )


def reused(notice: Notice) -> Notice:
    """Return a notice under an id of its own: another notice has its id. Equal ones get one id."""
    digest = hashlib.sha256(repr(notice).encode()).hexdigest()[:_DIGEST_CHARS]
    return replace(notice, notice_id=f"{notice.notice_id}#{digest}")


def _agrees(fact: Fact, state: str, code: str) -> bool:
    """Return whether a notice's state and code, which may be "", say the same as its type."""
    if fact.event is Event.RETURNED:
        return state in {"", "RETURNED"} and return_code.is_valid(code)
    return state in {"", "SETTLED"} and not code


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _text(fields: dict[str, Any], name: str, *, needed: bool = True) -> str:
    value = fields.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or not (value or not needed) or len(value) > _TEXT_MAX:
        raise WebhookMalformed
    if "\0" in value:
        # PostgreSQL stores no NUL in a text column.
        raise WebhookMalformed
    return value
