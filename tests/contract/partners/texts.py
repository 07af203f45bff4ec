"""Sample messages and calls for the SMS gateway. No tests here."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ops.waiting import until
from tests.contract.partners.processes import Answer, PartnerProcess, running

API_KEY = "sms-test-api-key"
BODY = "Your code is 123456.\n\n@bp.example #123456"
NUMBER = "+15550100001"


def text(**changes: Any) -> dict[str, Any]:
    """Return a valid message, with changes."""
    body = {"to": NUMBER, "from": "BPBank", "body": BODY, "clientReference": "otp-1"}
    return {**body, **changes}


def new_key() -> str:
    """Return a new idempotency key."""
    return str(uuid.uuid4())


async def send(sms: PartnerProcess, key: str, **changes: Any) -> Answer:
    """POST /v1/messages."""
    headers = {"Idempotency-Key": key}
    return await sms.call("POST", "/v1/messages", json=text(**changes), headers=headers)


async def sent(sms: PartnerProcess, **changes: Any) -> str:
    """Send a message and return its id."""
    got = await send(sms, new_key(), **changes)
    assert got.status == 202, got.body
    return got.body["messageId"]


async def ended(sms: PartnerProcess, message_id: str) -> dict[str, Any]:
    """Wait until a message has a final state, and return it."""

    async def final() -> dict[str, Any] | None:
        got = (await sms.call("GET", f"/v1/messages/{message_id}")).body
        return None if got["state"] in ("QUEUED", "SENT") else got

    return await until(final, 15, "the end of the message")


@asynccontextmanager
async def gateway(directory: Path, certs: Path, **settings: Any) -> AsyncGenerator[PartnerProcess]:
    """Run an SMS gateway, and call it with its API key."""
    async with running("sms", directory, certs, api_key=API_KEY, **settings) as partner:
        partner.headers["Authorization"] = f"Bearer {API_KEY}"
        yield partner
