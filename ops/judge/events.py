"""Reads the source topics: every event once by its id, and each transfer's events in order.

The source topics are payments, transfers, auth-events and mesh-events. The topics that the router
writes are compared with them.
"""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bp.event.v1 import topics_pb2
from google.protobuf.message import DecodeError

from ops.judge.books import Bank, Place
from ops.judge.findings import Findings, Kind
from ops.judge.topics import Part, Seen, Span
from services.chassis.kafka import BadMessage
from services.contracts.topics import topic
from services.payments.state import TABLE, State
from services.router import routes
from services.router.mapping import ENVELOPES

OUTBOX_TOPICS = (topic(topics_pb2.PAYMENTS).name, topic(topics_pb2.TRANSFERS).name)
"""Topics whose events come from the outbox of the Write DB."""
MESH_TOPIC = topic(topics_pb2.MESH_EVENTS).name
SOURCES = (*OUTBOX_TOPICS, topic(topics_pb2.AUTH_EVENTS).name, MESH_TOPIC)
"""Topics whose events are audited."""

_STEPS = frozenset((state.name, row.to.name) for (state, _), row in TABLE.rows.items())


@dataclass(slots=True)
class SourceEvent:
    """An event, and each place at which it is in its topic."""

    place: Place
    digest: bytes
    """SHA-256 of the value."""
    again: list[Place] = field(default_factory=list[Place])
    """Its other places: the relay publishes an event again if it could not mark it as published."""

    @property
    def places(self) -> list[Place]:
        """Every place of the event, in the order of reading."""
        return [self.place, *self.again]


@dataclass(slots=True)
class Tale:
    """The contents of the source topics."""

    events: dict[str, SourceEvent] = field(default_factory=dict[str, SourceEvent])
    steps: dict[str, list[tuple[int, str]]] = field(
        default_factory=lambda: defaultdict[str, list[tuple[int, str]]](list)
    )
    """Transfer -> version and state of each event, in the order of its partition."""
    asked: dict[str, str] = field(default_factory=dict[str, str])
    """Id of a message to a customer -> the customer."""
    revisions: dict[str, int] = field(default_factory=dict[str, int])
    """Event of a revision of the mesh's configuration -> the number of the revision."""
    unreadable: list[Place] = field(default_factory=list[Place])

    def take(self, record: Seen) -> None:
        """Take the next message of a source topic."""
        place = Place(record.topic, record.partition, record.offset)
        try:
            event = ENVELOPES[record.topic].FromString(record.value)
            event_id = str(uuid.UUID(event.metadata.event_id))
        except (DecodeError, ValueError):
            self.unreadable.append(place)
            return
        if self._note(event_id, place, record.value):
            self._read(event)

    def _note(self, event_id: str, place: Place, value: bytes) -> bool:
        """Remember the place of an event; return False for an event that was seen before."""
        known = self.events.get(event_id)
        if known is not None:
            known.again.append(place)
            return False
        self.events[event_id] = SourceEvent(place, hashlib.sha256(value).digest())
        return True

    def _read(self, event: Any) -> None:
        fact: Any = routes.fact_of(event)
        if fact is None:
            return
        if "revision" in fact.DESCRIPTOR.fields_by_name:
            self.revisions[str(uuid.UUID(event.metadata.event_id))] = fact.revision
        if "transfer" in fact.DESCRIPTOR.fields_by_name:
            # A declined order has no transfer, and a review is no step of its transfer.
            version = event.metadata.aggregate_version
            self.steps[event.metadata.aggregate_id].append((version, _state_of(fact)))
        if not routes.ROUTES.get(fact.DESCRIPTOR.full_name):
            return
        try:
            for told in routes.notifications_of(event):
                self.asked[told.metadata.event_id] = told.metadata.customer_id
        except BadMessage:
            # The router parks an event without a recipient, so no customer gets a message.
            return


def _state_of(fact: Any) -> str:
    field_of_state = fact.transfer.DESCRIPTOR.fields_by_name["state"]
    known = field_of_state.enum_type.values_by_number.get(fact.transfer.state)
    return str(fact.transfer.state) if known is None else known.name


def compare_with_outbox(
    tale: Tale, bank: Bank, spans: Mapping[Part, Span], findings: Findings
) -> None:
    """Check that a topic holds each published event at its acknowledged place, and no others.

    Topics may keep unread events longer than the bank keeps the record of published events, so
    events from before that record are skipped.
    """
    findings.checked["published"] += len(bank.published)
    findings.checked["events"] += len(tale.events)
    findings.checked["events_repeated"] += sum(len(e.again) for e in tale.events.values())
    for event_id, place in bank.published.items():
        event = tale.events.get(event_id)
        if event is None:
            span = spans.get((place.topic, place.partition))
            if span is None or place.offset >= span.low:
                findings.add(Kind.EVENT_LOST, _at(place), None, event_id=event_id)
        elif place not in event.places:
            found = [_at(one) for one in event.places]
            findings.add(Kind.EVENT_PLACE, _at(place), found, event_id=event_id)
    for event_id, event in tale.events.items():
        recorded = uuid.UUID(event_id) >= bank.published_from
        if event.place.topic in OUTBOX_TOPICS and recorded and event_id not in bank.published:
            findings.add(Kind.EVENT_UNKNOWN, None, _at(event.place), event_id=event_id)
    for place in tale.unreadable:
        findings.add(Kind.EVENT_UNREADABLE, "an event", _at(place), topic=place.topic)


def compare_with_transfers(tale: Tale, bank: Bank, findings: Findings) -> None:
    """Check that each transfer's versions have no gap and its steps are in the transition table.

    Kafka may have deleted the first events, so the versions may begin above 1.
    """
    for transfer_id, steps in tale.steps.items():
        versions = [version for version, _ in steps]
        expected = list(range(versions[0], versions[0] + len(versions)))
        if versions != expected:
            findings.add(Kind.EVENT_VERSIONS, expected, versions, transfer_id=transfer_id)
            continue
        row = bank.interbank.get(transfer_id)
        if row is not None:
            _follow([state for _, state in steps], versions[0], row.state, transfer_id, findings)


def _follow(
    states: list[str], first_version: int, row_state: str, transfer_id: str, findings: Findings
) -> None:
    began_well = first_version > 1 or states[0] == State.DEBITED.name
    pairs = list(pairwise(states))
    if not began_well or any(pair not in _STEPS for pair in pairs):
        expected = "steps of the transition table"
        findings.add(Kind.EVENT_STATES, expected, states, transfer_id=transfer_id)
    if states[-1] != row_state:
        findings.add(Kind.EVENT_LAST_STATE, row_state, states[-1], transfer_id=transfer_id)


def _at(place: Place) -> str:
    return f"{place.topic}/{place.partition}@{place.offset}"
