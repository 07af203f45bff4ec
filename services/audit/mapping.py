"""Between protobuf and the domain; the only file that knows both."""

import uuid
from datetime import UTC

from bp.audit.v1.audit_events_pb2 import AuditEvent
from bp.audit.v1.audit_record_pb2 import AuditRecord
from google.protobuf.message import DecodeError

from services.audit.chain import AuditRow, Entry
from services.chassis.kafka import BadMessage, Record
from services.chassis.timestamps import to_timestamp

SUBJECT_BYTES_MAX = 1024
"""An aggregate's id has 36 bytes; PostgreSQL allows an index entry at most 2,704."""


def to_entry(record: Record) -> Entry:
    """Return a message of audit-logs as an entry; raise BadMessage if it is not an audit event."""
    try:
        event = AuditEvent.FromString(record.value)
        event_id = uuid.UUID(event.event_id)
    except DecodeError as error:
        raise BadMessage("UNDECODABLE", str(error)) from error
    except ValueError as error:
        raise BadMessage("EVENT_ID_INVALID", str(error)) from error
    try:
        occur_time = event.occur_time.ToDatetime(UTC)
    except ValueError as error:
        raise BadMessage("EVENT_TIME_INVALID", str(error)) from error
    _require_storable(event)
    return Entry(
        chain=record.partition,
        event_id=event_id,
        event_type=event.event_type,
        source_topic=event.source_topic,
        source_partition=event.source_partition,
        source_offset=event.source_offset,
        subject=event.subject,
        occur_time=occur_time,
        log_offset=record.offset,
        payload=event.payload,
    )


def _require_storable(event: AuditEvent) -> None:
    """Refuse text that PostgreSQL would refuse, so that verification skips the event too."""
    if any("\0" in text for text in (event.event_type, event.source_topic, event.subject)):
        raise BadMessage("TEXT_INVALID", "a text contains a NUL")
    if len(event.subject.encode()) > SUBJECT_BYTES_MAX:
        raise BadMessage("TEXT_INVALID", "the subject is too long for its index")


def record_message(row: AuditRow) -> AuditRecord:
    """Return a link as a message of the contract."""
    return AuditRecord(
        chain=row.chain,
        sequence=row.sequence,
        event_id=str(row.event_id),
        event_type=row.event_type,
        source_topic=row.source_topic,
        subject=row.subject,
        previous_hash=row.previous_hash,
        hash=row.hash,
        payload=row.payload,
        record_time=to_timestamp(row.record_time),
        source_partition=row.source_partition,
        source_offset=row.source_offset,
        log_offset=row.log_offset,
        occur_time=to_timestamp(row.occur_time),
        hash_version=row.hash_version,
    )
