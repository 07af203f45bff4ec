"""The clearing house's notice: its signature, its age and its form. Pure.

The header Ach-Signature has the form of services/chassis/webhook_signatures.py. A replay within its
tolerance is harmless, because the bank applies each notice id once.
"""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import orjson

from services.chassis.webhook_signatures import is_signed
from services.nacha import return_code
from services.payments.errors import WebhookMalformed, WebhookSignatureInvalid
from services.payments.saga import NOTICE_TYPES, OWN_NOTICE_IDS, fact_of_notice
from services.payments.state import Event
from services.payments.transfer import Fact, Notice

REUSED_ID_WAIT = timedelta(minutes=1)
"""How long the bank waits before it queries the transfer of a notice with a used id. Without the
wait, a query that is answered under a used id would immediately cause the next query."""
_TEXT_MAX = 255
_DIGEST_CHARS = 16


def require_signature(header: str, body: bytes, secrets: Iterable[bytes], now_s: int) -> None:
    """Raise WebhookSignatureInvalid unless one of the secrets signed this body recently."""
    if not is_signed(header, body, secrets, now_s):
        raise WebhookSignatureInvalid


def read_notice(body: bytes) -> Notice:
    """Return the notice in a body, or raise WebhookMalformed.

    A notice of an unknown type may have any data, because an operator reads it.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise WebhookMalformed from None
    if not isinstance(document, dict):
        raise WebhookMalformed
    fields = cast("dict[str, Any]", document)
    if _text(fields, "id").startswith(OWN_NOTICE_IDS):
        raise WebhookMalformed
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
    key = named.get("idempotencyKey")
    return Notice(
        notice_id=_text(fields, "id"),
        type=_text(fields, "type"),
        trace_number="",
        transfer_id=_uuid(key) if isinstance(key, str) else None,
        return_code="",
        content=body,
    )


def reused(notice: Notice) -> Notice:
    """Return the notice under a new id, because its id is taken; equal notices get equal ids."""
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
