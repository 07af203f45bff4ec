"""Sample transfers and calls for the clearing house. No tests here."""

import uuid
from typing import Any

from tests.contract.partners.processes import Answer, PartnerProcess

API_KEY = "ach-test-api-key"
ROUTING = "021009912"


def order(**changes: Any) -> dict[str, Any]:
    """Return a valid transfer of 12.34 dollars, with changes."""
    minor_units = changes.pop("minor_units", 1234)
    body = {
        "amount": {"currency": "USD", "minorUnits": minor_units},
        "routing": ROUTING,
        "account": "000123456",
        "accountType": "CHECKING",
        "name": "Bo Rivera",
        "callbackReference": "ref-1",
    }
    return {**body, **changes}


def new_key() -> str:
    """Return a new idempotency key."""
    return str(uuid.uuid4())


async def submit(ach: PartnerProcess, key: str, **changes: Any) -> Answer:
    """POST /ach/transfer."""
    return await ach.call(
        "POST", "/ach/transfer", json=order(**changes), headers={"Idempotency-Key": key}
    )


async def find(ach: PartnerProcess, key: str) -> Answer:
    """GET /ach/transfer by key."""
    return await ach.call("GET", "/ach/transfer", params={"idempotencyKey": key})


async def cancel(ach: PartnerProcess, key: str) -> Answer:
    """POST /ach/transfer/cancel by key."""
    return await ach.call("POST", "/ach/transfer/cancel", json={"idempotencyKey": key})
