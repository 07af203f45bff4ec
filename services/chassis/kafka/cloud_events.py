"""CloudEvents 1.0 in binary mode for Kafka: attributes in headers, the envelope as the value."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from services.chassis.kafka.producer import OutgoingMessage


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event of an outbox."""

    topic: str
    key: uuid.UUID
    event_id: uuid.UUID
    event_type: str
    """Full name of the event's message, such as "bp.payments.v1.TransferDebited"."""
    subject: uuid.UUID
    create_time: datetime
    traceparent: str | None
    """W3C trace context; empty when there is none."""
    payload: bytes
    """The serialised envelope."""


def to_message(event: CloudEvent) -> OutgoingMessage:
    """Return the Kafka message of an event."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(event.event_id).encode()),
        ("ce_source", f"/bp/{event.topic}".encode()),
        ("ce_type", event.event_type.encode()),
        ("ce_subject", str(event.subject).encode()),
        ("ce_time", _rfc3339(event.create_time).encode()),
        ("content-type", b"application/protobuf"),
    ]
    if event.traceparent:
        headers.append(("traceparent", event.traceparent.encode()))
    return OutgoingMessage(
        topic=event.topic,
        key=str(event.key).encode(),
        value=event.payload,
        headers=tuple(headers),
    )


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
