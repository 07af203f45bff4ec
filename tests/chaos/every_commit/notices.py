"""The clearing house's notices about one transfer, which a test sends itself."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

import aiohttp

from sandbox.partners.webhooks import signature
from tests.rigs.running_bank import Bank


def notice(known: Mapping[str, Any], transfer_id: str, kind: str) -> bytes:
    """Return a notice with an id of its own. `known` is the transfer at the clearing house; `kind`
    is "completed" or "returned"."""
    data = {
        "achTraceNumber": known["achTraceNumber"],
        "idempotencyKey": transfer_id,
        "state": "RETURNED" if kind == "returned" else "SETTLED",
    }
    if kind == "returned":
        data["returnReasonCode"] = "R03"
    event = {
        "id": str(uuid.uuid4()),
        "type": f"transfer.{kind}",
        "createTime": "2026-03-02T08:30:00-05:00",
        "data": data,
    }
    return json.dumps(event).encode()


async def was_heard(bank: Bank, body: bytes) -> bool:
    """Send a notice with its signature; return whether the bank accepted it."""
    secret = bank.stack.credentials.ach_webhook_secret
    signed = signature(secret, body, int(time.time()))
    try:
        answer = await bank.as_ach("POST", "/v1/webhooks/ach", body, signed, certificate=True)
    except (aiohttp.ClientError, OSError):
        return False
    return answer.status == 200
