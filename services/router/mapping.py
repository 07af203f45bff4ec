"""Maps a source record to its outgoing records: always audit, notifications by route. Pure.

Only this file knows the wire format of both sides. Keys and CloudEvents headers are kept, and with
them the order per account and the trace. ce_type is the type of the new value, ce_id its id.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from bp.audit.v1.audit_events_pb2 import AuditEvent
from bp.auth.v1.auth_events_pb2 import AuthEvent
from bp.mesh.v1.mesh_events_pb2 import MeshEvent
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from bp.payments.v1.payments_events_pb2 import PaymentEvent
from bp.transfers.v1.transfers_events_pb2 import TransferEvent
from google.protobuf.message import DecodeError

from services.chassis.kafka import BadMessage, Headers, Record, is_too_large, parked
from services.contracts.topics import topic_of
from services.router import routes
from services.router.settings import AUDIT_LOGS, GROUP, NOTIFICATIONS

AUDIT_TYPE = "bp.audit.v1.AuditEvent"
NOTIFICATION_TYPE = "bp.notifications.v1.NotificationRequested"

ENVELOPES: dict[str, Any] = {
    topic_of(kind).name: kind for kind in (PaymentEvent, TransferEvent, AuthEvent, MeshEvent)
}
"""Source topic -> envelope."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to write."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers

    @property
    def dead_letter_reason(self) -> str:
        """Why the record goes to a dead-letter topic; "" for any other record."""
        reason = dict(self.headers).get("dlq-reason")
        return reason.decode() if isinstance(reason, bytes) else reason or ""


def fan_out(record: Record) -> list[Outgoing]:
    """Return the outgoing records; an unreadable record becomes one dead letter."""
    try:
        event = _opened(record)
        audited = _audit(record, event)
    except BadMessage as bad:
        return [_parked(record, bad)]
    try:
        notifications = [_notification(record, n) for n in routes.notifications_of(event)]
    except BadMessage as bad:
        # The event is valid and is audited; only its notification failed.
        return [audited, _parked(record, bad)]
    return [audited, *notifications]


def _opened(record: Record) -> Any:
    """Return the envelope; raise BadMessage for a value that cannot be parsed."""
    if is_too_large(record):
        raise BadMessage("TOO_LARGE", "it does not fit into one message of the log")
    try:
        return ENVELOPES[record.topic].FromString(record.value)
    except DecodeError as error:
        raise BadMessage("UNDECODABLE", str(error)) from error


def _audit(record: Record, event: Any) -> Outgoing:
    metadata = event.metadata
    audit = AuditEvent(
        event_id=metadata.event_id,
        event_type=_type_of(record, event),
        source_topic=record.topic,
        source_partition=record.partition,
        source_offset=record.offset,
        subject=metadata.aggregate_id,
        occur_time=metadata.occur_time,
        payload=record.value,
    )
    try:
        uuid.UUID(metadata.event_id)
    except ValueError:
        raise BadMessage("EVENT_ID_INVALID", repr(metadata.event_id[:64])) from None
    headers = _headers(record, audit.event_id, AUDIT_TYPE)
    return Outgoing(AUDIT_LOGS, record.key, audit.SerializeToString(), headers)


def _type_of(record: Record, event: Any) -> str:
    """Return the fact's full name, from the header if the fact is newer than this program."""
    fact = routes.fact_of(event)
    name = fact.DESCRIPTOR.full_name if fact is not None else record.header("ce_type")
    if not name:
        raise BadMessage("EVENT_TYPE_MISSING", "no fact in the envelope and no ce_type")
    return name


def _notification(record: Record, notification: NotificationEvent) -> Outgoing:
    headers = _headers(record, notification.metadata.event_id, NOTIFICATION_TYPE)
    return Outgoing(NOTIFICATIONS, record.key, notification.SerializeToString(), headers)


def _headers(record: Record, event_id: str, event_type: str) -> Headers:
    own: dict[str, str | bytes | None] = dict(record.headers)
    own["ce_id"] = event_id.encode()
    own["ce_type"] = event_type.encode()
    return list(own.items())


def _parked(record: Record, bad: BadMessage) -> Outgoing:
    message = parked(record, bad.reason, GROUP, bad)
    return Outgoing(message.topic, message.key, message.value, message.headers)
