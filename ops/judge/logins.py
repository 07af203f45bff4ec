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
    others: set[str] = field(default_factory=set[str])
    """Events that wait or are parked."""

    @property
    def first(self) -> str:
        """The smallest stored id; "" for an empty outbox. Auth deletes events that are older."""
        return min(self.published | self.others, default="")


async def read_logins(stores: Stores, findings: Findings) -> Logins:
    """Check that every event is published, and return the stored events."""
    sql, logins = queries("auth"), Logins()
    async with stores.snapshot(AUTH_DATABASE) as connection:
        waiting = await connection.fetch(sql.outbox_waiting, SAMPLES_MAX)
        parked = await connection.fetch(sql.outbox_parked, SAMPLES_MAX)
        findings.add_rows(Kind.OUTBOX_WAITING, waiting)
        findings.add_rows(Kind.OUTBOX_PARKED, parked)
        async for page in pages(connection, sql.events):
            for event_id, is_published in page:
                (logins.published if is_published else logins.others).add(event_id)
    return logins


def compare_with_logins(
    tale: Tale, logins: Logins, spans: Mapping[Part, Span], findings: Findings
) -> None:
    """Check that the topic holds each published event and no event that auth did not store.

    After a crash, an event may be in the topic before it is marked as published. Topics may keep
    events longer than auth, so events from before the first stored one are skipped.
    """
    findings.checked["published"] += len(logins.published)
    if is_whole(spans):
        for event_id in logins.published - tale.events.keys():
            findings.add(Kind.EVENT_LOST, TOPIC, None, event_id=event_id)
    stored, first = logins.published | logins.others, logins.first
    for event_id, event in tale.events.items():
        if event.place.topic == TOPIC and event_id >= first and event_id not in stored:
            place = f"{TOPIC}/{event.place.partition}@{event.place.offset}"
            findings.add(Kind.EVENT_UNKNOWN, None, place, event_id=event_id)
