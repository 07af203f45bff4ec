"""The caller and the metadata of a call, read once and available to the handlers."""

import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from services.kernel import identities

_URI = "URI="


@dataclass(frozen=True, slots=True)
class Call:
    """One call that the boundary admitted."""

    method: str
    """Full gRPC method path."""
    caller: str
    """Service account of the calling sidecar, such as "gateway"."""
    subject: str
    """The customer's id from the token; empty when no customer made the call."""
    scopes: frozenset[str]
    """Scopes of the token."""
    idempotency_key: str
    """Header Idempotency-Key; empty when the method requires none."""
    request_id: str
    """The gateway's request id, the correlation id of all further calls and events."""
    traceparent: str
    """W3C trace context; empty when there is none."""
    metadata: dict[str, str]
    """All text metadata, for the few methods that need other headers."""
    admit_time: datetime
    """When the boundary admitted the call."""

    @property
    def customer_id(self) -> uuid.UUID:
        """The calling customer; only for methods whose audience is CUSTOMER."""
        return uuid.UUID(self.subject)


current_call: ContextVar[Call] = ContextVar("current_call")
"""The call that the running task serves."""


def service_account(forwarded_client_cert: str) -> str:
    """Return the service account in Envoy's x-forwarded-client-cert, or "" if there is none."""
    for part in forwarded_client_cert.split(";"):
        if part.startswith(_URI):
            account = identities.service_account(part.removeprefix(_URI).split(",")[0])
            if account is not None:
                return account
    return ""
