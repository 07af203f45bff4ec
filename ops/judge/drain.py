"""Waits until nothing is in flight, so that events reach their last reader before the judgement.

Work that waits for a partner may keep waiting: a saga without an answer, a delayed notice.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import KafkaException

from ops.judge import messages, record, revisions
from ops.judge.events import OUTBOX_TOPICS, SOURCES
from ops.judge.findings import Findings, Kind
from ops.judge.stores import (
    AUTH_DATABASE,
    NOTIFICATIONS_DATABASE,
    UNREADABLE,
    WRITE_DATABASE,
    Stores,
    partner_api,
    queries,
)
from ops.judge.topics import Part, Seen, Span, Topics

POLL_S = 0.2
SHORT_ROWS = 16
"""A span of at most this many offsets is read in the first poll."""

STAGES = (
    {"router": SOURCES, "customers": OUTBOX_TOPICS},
    {"audit": (record.TOPIC,), "notif": (messages.TOPIC,)},
)
"""Consumer group -> the topics that it reads, upstream first: the router fills the second stage."""

TOPICS = tuple(sorted({one for stage in STAGES for topics in stage.values() for one in topics}))


@dataclass(slots=True)
class InFlight:
    """Counts of the work in flight."""

    of_bank: dict[str, int] = field(default_factory=dict[str, int])
    """Work that the bank must finish without help."""
    of_partners: dict[str, int] = field(default_factory=dict[str, int])
    """Work that may wait for a partner."""

    @property
    def nothing(self) -> bool:
        """True when no work is in flight."""
        return not any(self.of_bank.values()) and not any(self.of_partners.values())


class Uncommitted(NamedTuple):
    """Offsets of a partition that a consumer group has not committed."""

    group: str
    part: Part
    span: Span

    @property
    def offsets(self) -> int:
        """How many offsets there are; not all of them hold a message."""
        return self.span.high - self.span.low


class Drain:
    """Polls queues, consumer groups and sagas until they are empty."""

    def __init__(self, stores: Stores, topics: Topics) -> None:
        self._stores = stores
        self._topics = topics
        self._markers: set[Uncommitted] = set()
        self._seen: set[Uncommitted] = set()

    async def wait(self, wait_s: float, findings: Findings) -> InFlight:
        """Poll until nothing is in flight or the time is up.

        The bank's own work that is still in flight then is a difference.
        """
        deadline = time.monotonic() + wait_s
        while True:
            in_flight = await self._look()
            if in_flight.nothing or time.monotonic() >= deadline:
                break
            await asyncio.sleep(POLL_S)
        for what, count in in_flight.of_bank.items():
            if count:
                findings.add(Kind.NOT_DRAINED, 0, count, what=what, after_s=round(wait_s))
        return in_flight

    async def _look(self) -> InFlight:
        """Count the work in every queue once. An unreadable store counts as work in flight."""
        in_flight = InFlight()
        try:
            await self._sagas_and_outbox(in_flight)
        except UNREADABLE as error:
            in_flight.of_bank[f"{WRITE_DATABASE}: {type(error).__name__}"] = 1
        try:
            depth = await self._stores.value(AUTH_DATABASE, queries("auth").outbox_depth)
            in_flight.of_bank["outbox of auth"] = depth
        except UNREADABLE as error:
            in_flight.of_bank[f"{AUTH_DATABASE}: {type(error).__name__}"] = 1
        try:
            found = await asyncio.to_thread(revisions.read, self._stores.mesh_history)
            in_flight.of_bank["revisions of the mesh"] = found.waiting
        except OSError as error:
            in_flight.of_bank[f"history of the mesh: {type(error).__name__}"] = 1
        try:
            in_flight.of_bank.update(await asyncio.to_thread(self._groups))
        except (KafkaException, OSError) as error:
            in_flight.of_bank[f"kafka: {type(error).__name__}"] = 1
        try:
            async with partner_api(self._stores.ach_control) as get:
                state = await get("/control/state")
            in_flight.of_partners["notices of the clearing house"] = state["webhooks"]["pending"]
        except (OSError, KeyError) as error:
            in_flight.of_partners[f"clearing house: {type(error).__name__}"] = 1
        try:
            pending = queries("notifications").pending
            deliveries = await self._stores.value(NOTIFICATIONS_DATABASE, pending)
            in_flight.of_partners["deliveries pending"] = deliveries
        except UNREADABLE as error:
            in_flight.of_bank[f"{NOTIFICATIONS_DATABASE}: {type(error).__name__}"] = 1
        return in_flight

    async def _sagas_and_outbox(self, in_flight: InFlight) -> None:
        sql = queries("write")
        connection = await self._stores.connect(WRITE_DATABASE)
        try:
            fresh = await connection.fetchval(sql.fresh_sagas)
            in_flight.of_bank["outbox"] = int(await connection.fetchval(sql.outbox_depth) or 0)
        finally:
            await connection.close()
        in_flight.of_partners["sagas before their first answer"] = int(fresh or 0)

    def _groups(self) -> dict[str, int]:
        """Count the lag of each stage, from upstream to downstream, so that no event is missed."""
        behind: dict[str, int] = {"transactions open": 0}
        for stage in STAGES:
            spans = self._topics.spans({one for topics in stage.values() for one in topics})
            behind["transactions open"] += self._topics.open_messages(spans)
            for group, topics in stage.items():
                parts = {part: span for part, span in spans.items() if part[0] in topics}
                behind[f"group {group}"] = self._behind(group, parts)
        return behind

    def _behind(self, group: str, parts: Mapping[Part, Span]) -> int:
        """Count messages that a group has not committed.

        A group never commits the offset of a transaction's marker, so it always seems to lag by
        one. If a span does not shrink between two polls, its messages are read and counted. Later
        polls skip a span that holds only markers.
        """
        committed = self._topics.committed(group, parts)
        rest = {
            Uncommitted(group, part, Span(max(committed.get(part, span.low), span.low), span.high))
            for part, span in parts.items()
        }
        rest = {one for one in rest if one.offsets > 0} - self._markers
        standing = {one for one in rest if one in self._seen or one.offsets <= SHORT_ROWS}
        self._seen |= rest
        messages = self._count({one.part: one.span for one in standing})
        self._markers |= {one for one in standing if not messages[one.part]}
        moving = sum(one.offsets for one in rest - standing)
        return moving + sum(messages.values())

    def _count(self, spans: Mapping[Part, Span]) -> dict[Part, int]:
        counts = dict.fromkeys(spans, 0)

        def take(record: Seen) -> None:
            counts[record.topic, record.partition] += 1

        self._topics.read(spans, take)
        return counts
