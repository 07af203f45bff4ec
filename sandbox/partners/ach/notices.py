"""What the clearing house tells the bank about a transfer.

A notice's id, type and time are derived from the book, so that a restart makes the same notices.
"""

import uuid

import orjson

from sandbox.partners.ach.book import State, Transfer
from sandbox.partners.ach.clock import Schedule, rfc3339
from sandbox.partners.webhooks import Notice

NAMESPACE = uuid.UUID("5f0e3c5e-1d0b-4c58-9a4e-2d8f6f1b7a11")
SIGNATURE_HEADER = "Ach-Signature"


def events_of(transfer: Transfer, trace: str, plan: Schedule) -> list[Notice]:
    """Return all notices of a transfer so far, oldest first."""
    day, late = transfer.processing_day, transfer.ending.is_late
    if day is None:
        return []
    events: list[Notice] = []
    if transfer.state is State.SETTLED or (transfer.state is State.RETURNED and late):
        at = plan.settled_at(day)
        events.append(_event(transfer, trace, "transfer.completed", State.SETTLED, at))
    if transfer.state is State.RETURNED:
        at = plan.late_return_at(day) if late else plan.settled_at(day)
        events.append(_event(transfer, trace, "transfer.returned", State.RETURNED, at))
    return events


def _event(transfer: Transfer, trace: str, kind: str, state: State, at: float) -> Notice:
    data = {"achTraceNumber": trace, "idempotencyKey": transfer.key, "state": state}
    if state is State.RETURNED:
        data["returnReasonCode"] = transfer.ending.return_code or ""
    event_id = str(uuid.uuid5(NAMESPACE, f"{trace}:{transfer.key}:{kind}"))
    event = {"id": event_id, "type": kind, "createTime": rfc3339(at), "data": data}
    return Notice(event_id, transfer.key, orjson.dumps(event))
