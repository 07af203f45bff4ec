"""The caller and the metadata of a call, read once and available to the handlers."""

import re
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from services.contracts import StepUpRule
from services.kernel import identities

_PAIR = re.compile(
    r'(?P<name>[A-Za-z]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^",;]*))(?=[,;]|\Z)'
)


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
    partner: str = ""
    """The partner that called, by its client certificate; only for audience PARTNER."""
    session_id: str = ""
    """The session of the customer's token; empty when no customer made the call."""
    device_id: str = ""
    """The device of the customer's session; empty when the token names none."""
    auth_time: datetime | None = None
    """When the customer presented a second factor; None when the token does not say it."""
    client_address: str = ""
    """The IP address of the gateway's caller, without its port; empty for calls inside the mesh."""
    step_up: StepUpRule | None = None
    """The method's step-up rule; `step_up.unmet_rule` says whether the call meets it."""

    @property
    def customer_id(self) -> uuid.UUID:
        """The calling customer; only for methods whose audience is CUSTOMER."""
        return uuid.UUID(self.subject)


REPLAYED_HEADER = "idempotent-replayed"
"""The header, with the value "true", of an answer that repeats the key's first answer."""

ETAG_HEADER = "etag"
"""The entity tag of the resource that an answer contains (RFC 9110, 8.8.3)."""

answer_headers: ContextVar[dict[str, str]] = ContextVar("answer_headers")
"""The headers that the boundary adds to the answer of the running task's call."""


def note_replay() -> None:
    """Note in the call's answer that it repeats an earlier one; without a call, do nothing."""
    _note(REPLAYED_HEADER, "true")


def note_etag(etag: str) -> None:
    """Add the entity tag, quotes included, to the call's answer; without a call do nothing."""
    _note(ETAG_HEADER, etag)


def _note(name: str, value: str) -> None:
    headers = answer_headers.get(None)
    if headers is not None:
        headers[name] = value


current_call: ContextVar[Call] = ContextVar("current_call")
"""The call that the running task serves."""


def service_account(forwarded_client_cert: str) -> str:
    """Return the service account in Envoy's x-forwarded-client-cert, or "" if there is none.

    The header has an element for each proxy; this service's own sidecar wrote the last one.
    It must name exactly one URI, because a certificate with two identities is not accepted.
    """
    uris = [value for name, value in _last_element(forwarded_client_cert) if name == "URI"]
    if len(uris) != 1:
        return ""
    return identities.service_account(uris[0]) or ""


def _last_element(header: str) -> list[tuple[str, str]]:
    """Return the pairs of the last element; no pairs if the header is malformed.

    Elements are separated by commas and pairs by semicolons. A value that contains one of them is
    in double quotes, in which a backslash precedes a quote.
    """
    pairs: list[tuple[str, str]] = []
    position, separator = 0, ","
    while separator:
        pair = _PAIR.match(header, position)
        if pair is None:
            return []
        if separator == ",":
            pairs = []
        pairs.append((pair["name"], pair["quoted"] or pair["plain"] or ""))
        separator, position = header[pair.end() : pair.end() + 1], pair.end() + 1
    return pairs
