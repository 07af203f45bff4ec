"""Compares the audit log with the events it records, and verifies each chain, in one pass."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bp.audit.v1.audit_events_pb2 import AuditEvent
from google.protobuf.message import DecodeError

from ops.judge.books import Place
from ops.judge.events import SourceEvent, Tale
from ops.judge.findings import Findings, Kind
from ops.judge.stores import AUDIT_DATABASE, Stores
from ops.judge.topics import Part, Seen, Span, is_whole
from services.audit.chain import AuditRow
from services.audit.settings import CHAINS
from services.audit.store import rows_outside, whole_chain
from services.audit.verify import ChainCheck, Finding
from services.audit.verify_offsets import OffsetsCheck
from services.contracts.topics import topic_of
from services.router import routes
from services.router.mapping import ENVELOPES

TOPIC = topic_of(AuditEvent).name


@dataclass(slots=True)
class Log:
    """The contents of the topic audit-logs: how often it holds each event."""

    events: Counter[str] = field(default_factory=Counter[str])
    unreadable: list[Place] = field(default_factory=list[Place])

    def take(self, record: Seen) -> None:
        """Take the next message."""
        try:
            self.events[AuditEvent.FromString(record.value).event_id] += 1
        except DecodeError:
            self.unreadable.append(Place(record.topic, record.partition, record.offset))


def compare_log(
    tale: Tale, log: Log, spans: Mapping[Part, Span], whole: bool, findings: Findings
) -> None:
    """Check that the topic audit-logs holds every source event and no other.

    `whole` means that Kafka still holds every source event, so that any other is a difference.
    """
    findings.checked["audit_log_events"] += len(log.events)
    findings.checked["audit_log_repeated"] += log.events.total() - len(log.events)
    if not is_whole(spans):
        return
    for event_id in tale.events.keys() - log.events.keys():
        place = tale.events[event_id].place
        findings.add(Kind.AUDIT_LOG_LOST, "once", "never", event_id=event_id, topic=place.topic)
    for event_id in log.events.keys() - tale.events.keys() if whole else ():
        findings.add(Kind.AUDIT_LOG_UNKNOWN, "an event", "no event", event_id=event_id)
    for place in log.unreadable:
        at = f"{place.topic}/{place.partition}@{place.offset}"
        findings.add(Kind.EVENT_UNREADABLE, "an event", at, topic=place.topic)


async def compare_record(
    stores: Stores,
    tale: Tale,
    spans: Mapping[Part, Span],
    published: Set[str],
    findings: Findings,
) -> None:
    """Check that each event has one record with its payload and source, and verify each chain.

    `published` has the ids of events that must have a record, even if Kafka has deleted them.
    """
    recorded: Counter[str] = Counter()
    async with stores.snapshot(AUDIT_DATABASE) as connection:
        for chain in range(CHAINS):
            check, offsets = ChainCheck(chain), OffsetsCheck(chain)
            async for row in whole_chain(connection, chain):
                check.feed(row)
                offsets.feed(row)
                event_id = str(row.event_id)
                recorded[event_id] += 1
                _compare(row, event_id, tale.events.get(event_id), spans, findings)
            for found in (*check.finish(), *offsets.finish()):
                _add(found, findings)
        async for found in rows_outside(connection, CHAINS):
            _add(found, findings)
    findings.checked["audit_records"] += recorded.total()
    for event_id, count in recorded.items():
        if count > 1:
            findings.add(Kind.AUDIT_DOUBLED, 1, count, event_id=event_id)
    for event_id in (tale.events.keys() | published) - recorded.keys():
        findings.add(Kind.AUDIT_LOST, "on record", "not on record", event_id=event_id)


def _add(found: Finding, findings: Findings) -> None:
    findings.add(
        Kind.AUDIT_CHAIN,
        "a chain that verifies",
        f"{found.kind}: {found.detail}",
        chain=found.chain,
        sequence=found.sequence,
        event_id=found.event_id or None,
    )


def _compare(
    row: AuditRow,
    event_id: str,
    event: SourceEvent | None,
    spans: Mapping[Part, Span],
    findings: Findings,
) -> None:
    if event is None:
        if is_whole(spans):
            findings.add(Kind.AUDIT_UNKNOWN, "an event", row.event_type, event_id=event_id)
        return
    digest = hashlib.sha256(row.payload).digest()
    if digest != event.digest:
        findings.add(Kind.AUDIT_PAYLOAD, event.digest, digest, event_id=event_id)
    place = Place(row.source_topic, row.source_partition, row.source_offset)
    span = spans.get((row.source_topic, row.source_partition))
    deleted = span is not None and place.offset < span.low
    # A publisher that lost its memory sends old events again, so only the repetition may be left.
    if place not in event.places and not deleted:
        findings.add(Kind.AUDIT_PAYLOAD, repr(event.places), repr(place), event_id=event_id)
    told = _told(row)
    shown = (row.event_type, row.subject, row.occur_time)
    if told is not None and told != shown:
        findings.add(Kind.AUDIT_PAYLOAD, told, shown, event_id=event_id)


def _told(row: AuditRow) -> tuple[str, str, datetime] | None:
    """Return the type, subject and time that the payload names; None if it cannot be read.

    The type of a fact that is newer than this program is taken from the record.
    """
    envelope = ENVELOPES.get(row.source_topic)
    if envelope is None:
        return None
    try:
        event = envelope.FromString(row.payload)
        time = event.metadata.occur_time.ToDatetime(UTC)
    except (DecodeError, ValueError):
        return None
    fact = routes.fact_of(event)
    name = row.event_type if fact is None else fact.DESCRIPTOR.full_name
    return name, event.metadata.aggregate_id, time
