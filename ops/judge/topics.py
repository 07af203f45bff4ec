"""Reads Kafka from the start to the end offset at call time, outside any group. Blocking."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import EarliestSpec, LatestSpec, OffsetSpec

from ops.waiting import scaled_s
from services.chassis.kafka.client import Record, to_record

TIMEOUT_S = 15.0
READ_ROWS = 5000
GATHER_S = 0.02
"""How long one poll gathers messages; it also bounds the delay at the end of a partition."""

FETCH_S = 5.0
SILENCE_S = 20.0

Part = tuple[str, int]
"""Topic and partition."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A message that was read; its headers are decoded on access."""

    topic: str
    partition: int
    offset: int
    value: bytes
    message: Message

    def header(self, name: str) -> str:
        """Return a header's text, "" if the message has no such header."""
        return to_record(self.message).header(name)


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets of a partition, from `low` up to but not including `high`."""

    low: int
    high: int


def is_whole(spans: Mapping[Part, Span]) -> bool:
    """Return whether Kafka still holds every message since the first."""
    return all(span.low == 0 for span in spans.values())


class Topics:
    """The judge's client of one broker."""

    def __init__(self, bootstrap: str) -> None:
        self._common = {"bootstrap.servers": bootstrap, "log_level": 2}
        self._admin = AdminClient(dict(self._common))
        self._groups: dict[str, Consumer] = {}

    def spans(self, topics: Iterable[str]) -> dict[Part, Span]:
        """Return the committed offsets of every partition of the topics at call time."""
        parts = self._parts(topics)
        lows = self._offsets(parts, EarliestSpec())
        highs = self._offsets(parts, LatestSpec())
        return {part: Span(lows[part], high) for part, high in highs.items()}

    def open_messages(self, spans: Mapping[Part, Span]) -> int:
        """Count the messages beyond the spans that belong to open transactions.

        Kafka acknowledges a commit to the producer before each partition has its marker.
        """
        parts = [TopicPartition(*part) for part in spans]
        ends = self._offsets(parts, LatestSpec(), IsolationLevel.READ_UNCOMMITTED)
        return sum(end - spans[part].high for part, end in ends.items())

    def _parts(self, topics: Iterable[str]) -> list[TopicPartition]:
        known = self._admin.list_topics(timeout=scaled_s(TIMEOUT_S)).topics
        return [
            TopicPartition(topic, number)
            for topic in topics
            if topic in known
            for number in known[topic].partitions
        ]

    def _offsets(
        self,
        parts: list[TopicPartition],
        which: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[Part, int]:
        if not parts:
            return {}
        asked = self._admin.list_offsets(
            dict.fromkeys(parts, which),
            isolation_level=isolation,
            request_timeout=scaled_s(TIMEOUT_S),
        )
        return {(part.topic, part.partition): f.result().offset for part, f in asked.items()}

    def committed(self, group: str, parts: Iterable[Part]) -> dict[Part, int]:
        """Return a group's committed offsets; a partition that it never committed is absent.

        The query uses a consumer that never joins the group, because the admin client (librdkafka
        2.16) crashes on a null pointer when the group's coordinator answers with an error.
        """
        wanted = [TopicPartition(*part) for part in parts]
        if not wanted:
            return {}
        if group not in self._groups:
            own = {"group.id": group, "isolation.level": "read_committed"}
            self._groups[group] = Consumer(self._common | own | {"enable.auto.commit": False})
        found = self._groups[group].committed(wanted, timeout=scaled_s(TIMEOUT_S))
        return {(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def close(self) -> None:
        """Close the connections to the broker."""
        for consumer in self._groups.values():
            consumer.close()
        self._groups.clear()

    def read(self, spans: Mapping[Part, Span], take: Callable[[Seen], None]) -> None:
        """Pass every committed message of the spans to `take`, each partition in order.

        Raises TimeoutError when the broker sends nothing for SILENCE_S.
        """
        waiting = {part: span for part, span in spans.items() if span.low < span.high}
        if not waiting:
            return
        reader = self._reader()
        try:
            reader.assign([TopicPartition(*part, span.low) for part, span in waiting.items()])
            heard = time.monotonic()
            while waiting:
                for message in reader.consume(READ_ROWS, GATHER_S):
                    heard = time.monotonic()
                    _take(message, waiting, take)
                if time.monotonic() - heard > scaled_s(SILENCE_S):
                    raise TimeoutError(f"Kafka sends nothing; {len(waiting)} partitions unread")
        finally:
            reader.close()

    def fetch(self, places: Iterable[tuple[Part, int]]) -> list[Record | None]:
        """Return the message at each place; None where Kafka has deleted it."""
        reader = self._reader()
        try:
            return [_at(reader, part, offset) for part, offset in places]
        finally:
            reader.close()

    def _reader(self) -> Consumer:
        return Consumer(
            self._common
            | {
                "group.id": f"judge-{uuid.uuid4()}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
                "fetch.message.max.bytes": 8_388_608,
            }
        )


def _at(reader: Consumer, part: Part, offset: int) -> Record | None:
    reader.assign([TopicPartition(*part, offset)])
    for message in reader.consume(1, scaled_s(FETCH_S)):
        if message.error() is None and message.offset() == offset:
            return to_record(message)
    return None


def _take(message: Any, waiting: dict[Part, Span], take: Callable[[Seen], None]) -> None:
    """Pass one message on, or note that a partition has been read to the end of its span."""
    part = (message.topic(), message.partition())
    error = message.error()
    if error is not None:
        # The client's own codes begin with an underscore.
        if error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        waiting.pop(part, None)
        return
    span = waiting.get(part)
    offset: int = message.offset()
    if span is None or offset >= span.high:
        waiting.pop(part, None)
        return
    take(Seen(*part, offset, message.value() or b"", message))
    if offset + 1 >= span.high:
        waiting.pop(part, None)
