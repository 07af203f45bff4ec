"""Compares the outbox of auth with its topic. The audit log is compared in record.py.

The outbox does not know an event's place in the topic. So a published event that Kafka has deleted
is only looked for in the audit log, which keeps every event.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bp.event.v1 import topics_pb2

from ops.judge.events import Tale
from ops.judge.findings import SAMPLES_MAX, Findings, Kind
from ops.judge.stores import AUTH_DATABASE, Stores, pages, queries
from ops.judge.topics import Part, Span, is_whole
from services.contracts.topics import topic

TOPIC = topic(topics_pb2.AUTH_EVENTS).name


@dataclass(slots=True)
class Logins:
    """The ids of the events in the outbox of auth, as text."""

    published: set[str] = field(default_factory=set[str])
    waiting: set[str] = field(default_factory=set[str])

    @property
    def first(self) -> str:
        """The smallest stored id; "" for an empty outbox. Auth deletes events that are older."""
        return min(self.published | self.waiting, default="")


async def read_logins(stores: Stores, findings: Findings) -> Logins:
    """Check that every event is published, and return the stored events."""
    sql, logins = queries("auth"), Logins()
    async with stores.snapshot(AUTH_DATABASE) as connection:
        findings.add_rows(
            Kind.OUTBOX_WAITING, await connection.fetch(sql.outbox_waiting, SAMPLES_MAX)
        )
        async for page in pages(connection, sql.events):
            for event_id, is_published in page:
                (logins.published if is_published else logins.waiting).add(event_id)
    return logins


def compare_with_logins(
    tale: Tale, logins: Logins, spans: Mapping[Part, Span], findings: Findings
) -> None:
    """Check that the topic holds each published event and no event that auth did not store.

    An event that is published but not marked yet is in the topic and waiting. Topics may keep
    events longer than auth, so events from before the first stored one are skipped.
    """
    findings.checked["published"] += len(logins.published)
    if is_whole(spans):
        for event_id in logins.published - tale.events.keys():
            findings.add(Kind.EVENT_LOST, TOPIC, None, event_id=event_id)
    stored, first = logins.published | logins.waiting, logins.first
    for event_id, event in tale.events.items():
        if event.place.topic == TOPIC and event_id >= first and event_id not in stored:
            place = f"{TOPIC}/{event.place.partition}@{event.place.offset}"
            findings.add(Kind.EVENT_UNKNOWN, None, place, event_id=event_id)
