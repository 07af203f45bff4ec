"""Runs the judge: waits until nothing is in flight, reads every store and compares them all.

The stores are read in turn, so transfers that advance between two reads look like differences.
If a round finds differences and a transfer advanced during it, the judge starts another round:
until the time is up, and at most ROUNDS_MAX rounds.
"""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from ops.judge import messages, record
from ops.judge.books import Bank, Place, read_bank
from ops.judge.clearing_house import compare_clearing_house
from ops.judge.drain import TOPICS, Drain, InFlight
from ops.judge.events import MESH_TOPIC, SOURCES, Tale, compare_with_outbox, compare_with_transfers
from ops.judge.findings import Findings, Kind
from ops.judge.logins import TOPIC as LOGIN_TOPIC
from ops.judge.logins import Logins, compare_with_logins, read_logins
from ops.judge.messages import Requests, compare_messages, compare_pushes, compare_requests
from ops.judge.projection import compare_projection
from ops.judge.record import Log
from ops.judge.revisions import Revisions, compare_with_revisions, read, read_revisions
from ops.judge.sessions import compare_sessions
from ops.judge.stores import AUTH_DATABASE, UNREADABLE, WRITE_DATABASE, Stores, queries
from ops.judge.topics import Part, Seen, Span, Topics, is_whole
from services.contracts.topics import DEAD_LETTER_SUFFIX

ROUNDS_MAX = 3
UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a judgement."""

    findings: Findings
    in_flight: InFlight
    seconds: float

    @property
    def ok(self) -> bool:
        """True when no two stores disagree."""
        return self.findings.ok

    def to_json(self) -> dict[str, Any]:
        """Return the report: the verdict, the compared items, and the differences."""
        counts = self.findings.counts
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "checked": dict(self.findings.checked),
            "waiting_for_partners": {k: n for k, n in self.in_flight.of_partners.items() if n},
            "difference_counts": {kind.name: counts[kind] for kind in Kind if counts[kind]},
            "differences": [one.to_json() for one in self.findings.named],
        }


async def judge(stores: Stores, wait_s: float) -> Verdict:
    """Wait up to `wait_s` for work in flight, then compare all stores."""
    topics = Topics(stores.kafka_bootstrap)
    try:
        return await _judged(stores, topics, wait_s)
    finally:
        await asyncio.to_thread(topics.close)


async def _judged(stores: Stores, topics: Topics, wait_s: float) -> Verdict:
    began = time.monotonic()
    drain = Drain(stores, topics)
    rounds = 0
    while True:
        rounds += 1
        findings = Findings()
        left_s = max(0.0, wait_s - (time.monotonic() - began))
        in_flight = await drain.wait(left_s, findings)
        before = await _activity(stores)
        await _Round(stores, topics, findings).run()
        still = before is not None and await _activity(stores) == before
        seconds = time.monotonic() - began
        if findings.ok or still or seconds >= wait_s or rounds == ROUNDS_MAX:
            return Verdict(findings, in_flight, seconds)


async def _activity(stores: Stores) -> tuple[int, int, int] | None:
    """Return numbers that grow with each step of a transfer, each event about logins, and each
    revision of the mesh's configuration."""
    try:
        steps = await stores.value(WRITE_DATABASE, queries("write").activity)
        events = await stores.value(AUTH_DATABASE, queries("auth").activity)
        revisions = await asyncio.to_thread(read, stores.mesh_history)
        return steps, events, revisions.last
    except UNREADABLE:
        return None


class _Round:
    """One reading of all stores. An unreadable store is always reported as a difference."""

    def __init__(self, stores: Stores, topics: Topics, findings: Findings) -> None:
        self._stores = stores
        self._topics = topics
        self._findings = findings
        self._tale = Tale()
        self._log = Log()
        self._requests = Requests()
        self._parked: set[Place] = set()

    async def run(self) -> None:
        """Read the books and Kafka concurrently, then the stores that are compared with them."""
        stores, findings = self._stores, self._findings
        # Read before the books: an event in these spans was committed before the books are read.
        topics = (*TOPICS, *(topic + DEAD_LETTER_SUFFIX for topic in TOPICS))
        spans = await self._read("kafka", asyncio.to_thread(self._topics.spans, topics), None)
        reading: list[Awaitable[Any]] = [
            self._read(WRITE_DATABASE, read_bank(stores, findings), None),
            self._read(AUTH_DATABASE, read_logins(stores, findings), None),
            self._sessions(),
            self._read("mesh", read_revisions(stores.mesh_history, findings), None),
        ]
        if spans is not None:
            events = asyncio.to_thread(self._topics.read, spans, self._take)
            reading.append(self._read("kafka", events, UNREAD))
        bank, logins, _, revisions, *unread = await asyncio.gather(*reading)
        self._forgive_parked()
        behind: list[Awaitable[Any]] = []
        if bank is not None:
            behind += self._beside_the_books(bank)
        if spans is not None and UNREAD not in unread:
            if bank is not None:
                compare_with_outbox(self._tale, bank, _of(spans, *SOURCES), findings)
                compare_with_transfers(self._tale, bank, findings)
            if logins is not None:
                compare_with_logins(self._tale, logins, _of(spans, LOGIN_TOPIC), findings)
            if revisions is not None:
                compare_with_revisions(self._tale, revisions, _of(spans, MESH_TOPIC), findings)
            published = (logins or Logins()).published | (revisions or Revisions()).published.keys()
            behind += self._behind_the_router(spans, published)
        await asyncio.gather(*behind)

    def _take(self, message: Seen) -> None:
        if message.topic.endswith(DEAD_LETTER_SUFFIX):
            self._parked.add(parked_from(message))
            return
        readers = {record.TOPIC: self._log, messages.TOPIC: self._requests}
        readers.get(message.topic, self._tale).take(message)

    def _forgive_parked(self) -> None:
        """Ignore unreadable messages that a consumer group parked; an operator must handle them."""
        self._findings.checked["parked"] += len(self._parked)
        for reader in (self._tale, self._log, self._requests):
            reader.unreadable = [one for one in reader.unreadable if one not in self._parked]

    def _beside_the_books(self, bank: Bank) -> list[Awaitable[Any]]:
        stores, findings = self._stores, self._findings
        return [
            self._read("bp_customers", compare_projection(stores, bank, findings), None),
            self._read("ach", compare_clearing_house(stores, bank, findings), None),
        ]

    def _behind_the_router(
        self, spans: Mapping[Part, Span], published: Set[str]
    ) -> list[Awaitable[Any]]:
        stores, findings, tale = self._stores, self._findings, self._tale
        sources = _of(spans, *SOURCES)
        whole = is_whole(sources)
        record.compare_log(tale, self._log, _of(spans, record.TOPIC), whole, findings)
        compare_requests(tale, self._requests, _of(spans, messages.TOPIC), whole, findings)
        compared = record.compare_record(stores, tale, sources, published, findings)
        return [
            self._read("bp_audit", compared, None),
            self._messages(whole),
        ]

    async def _sessions(self) -> None:
        """Compare the two stores of sessions; report the one that is unreadable."""
        comparing = compare_sessions(self._stores, self._findings)
        await self._read(AUTH_DATABASE, self._read("valkey", comparing, None, (RedisError,)), None)

    async def _messages(self, whole: bool) -> None:
        stores, findings = self._stores, self._findings
        messages = compare_messages(stores, self._tale, whole, findings)
        deliveries = await self._read("bp_notifications", messages, None)
        if deliveries is not None:
            await self._read("fcm", compare_pushes(stores, deliveries, findings), None)

    async def _read(
        self,
        store: str,
        reading: Awaitable[Any],
        otherwise: Any,
        unreadable: tuple[type[Exception], ...] = (*UNREADABLE, KafkaException),
    ) -> Any:
        try:
            return await reading
        except unreadable as error:
            actual = f"{type(error).__name__}: {error}"
            self._findings.add(Kind.STORE_UNREADABLE, "readable", actual, store=store)
            return otherwise


def parked_from(message: Seen) -> Place:
    """Return where a parked message came from."""
    return Place(
        message.header("dlq-original-topic"),
        int(message.header("dlq-original-partition") or -1),
        int(message.header("dlq-original-offset") or -1),
    )


def _of(spans: Mapping[Part, Span], *topics: str) -> dict[Part, Span]:
    return {part: span for part, span in spans.items() if part[0] in topics}
