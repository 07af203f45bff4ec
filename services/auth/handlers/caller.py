"""The running call: its customer, session and device, and its place in the trace of events."""

import uuid
from dataclasses import dataclass

from services.auth.events_out import Origin
from services.chassis.call_context import current_call
from services.kernel.clock import utc_now
from services.kernel.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Caller:
    """The claims of the call's token."""

    customer_id: uuid.UUID
    session_id: uuid.UUID
    device_id: uuid.UUID | None
    """None for a token of the sandbox, which belongs to no device."""


def caller() -> Caller:
    """Return the running call's customer; raise Unauthenticated for a token of no session."""
    call = current_call.get()
    session_id = _uuid(call.session_id)
    if session_id is None:
        raise Unauthenticated
    return Caller(call.customer_id, session_id, _uuid(call.device_id))


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def origin() -> Origin:
    """Return the running call as the origin of events that happen now."""
    call = current_call.get()
    return Origin(call.request_id, call.traceparent, utc_now())
