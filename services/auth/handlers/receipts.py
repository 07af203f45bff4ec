"""Delivery receipts of the SMS gateway: verified, recorded, counted."""

from typing import Any, cast

import structlog

from services.auth.errors import ReceiptMalformed, ReceiptSignatureInvalid
from services.auth.handlers.dependencies import Dependencies
from services.chassis.http_client import json_of, plain
from services.chassis.webhook_signatures import is_signed
from services.kernel.clock import utc_now

ID_CHARACTERS_MAX = 128
CODE_CHARACTERS_MAX = 64
STATES = ("DELIVERED", "UNDELIVERED", "EXPIRED")

log = structlog.get_logger()


async def receive_sms_receipt(deps: Dependencies, signature: str, body: bytes) -> None:
    """Record whether a telephone got its message.

    Raises ReceiptSignatureInvalid and ReceiptMalformed.
    """
    now = utc_now()
    if not is_signed(signature, body, deps.receipt_secrets, int(now.timestamp())):
        raise ReceiptSignatureInvalid
    document = json_of(body)
    if not isinstance(document, dict):
        raise ReceiptMalformed
    data = cast("dict[str, Any]", document).get("data")
    if not isinstance(data, dict):
        raise ReceiptMalformed
    fields = cast("dict[str, Any]", data)
    message_id, state = plain(fields.get("messageId")), plain(fields.get("state"))
    error_code = plain(fields.get("errorCode"))
    is_short = len(message_id) <= ID_CHARACTERS_MAX and len(error_code) <= CODE_CHARACTERS_MAX
    if not message_id or state not in STATES or not is_short:
        raise ReceiptMalformed
    await deps.store.record_receipt(message_id, state, error_code, now)
    if state != "DELIVERED":
        log.warning("sms.not_delivered", state=state, error_code=error_code)
