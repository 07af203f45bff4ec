"""Reads audit-logs and dead-letter topics outside any consumer group, for verification. Its calls
block.
"""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from bp.audit.v1.audit_events_pb2 import AuditEvent
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from google.protobuf.message import DecodeError

from services.audit.chain import Entry
from services.audit.mapping import to_entry
from services.audit.positions import Position, Source
from services.audit.settings import GROUP, TOPIC
from services.audit.verify_topic import Span
from services.chassis.kafka import BadMessage, Record, to_record
from services.contracts.topics import DEAD_LETTER_PARTITIONS, DEAD_LETTER_SUFFIX

READ_ROWS = 1000
READ_WAIT_S = 0.05
TIMEOUT_S = 15.0


class Topic:
    """The topic audit-logs, and the dead-letter topics of audit-logs and of its source topics."""

    def __init__(self, bootstrap: str) -> None:
        self._common = {"bootstrap.servers": bootstrap, "enable.auto.commit": False, "log_level": 2}
        self._settled = self._reader("read_committed")
        self._all = self._reader("read_uncommitted")
        self._group = Consumer(self._common | {"group.id": GROUP})

    def _reader(self, isolation: str) -> Consumer:
        settings: dict[str, Any] = {
            "group.id": f"audit-verify-{uuid.uuid4()}",
            "isolation.level": isolation,
            "enable.partition.eof": True,
            # Events may be deleted while they are read; later ones must not be skipped.
            "auto.offset.reset": "earliest",
            # An empty fetch reports the end of a partition, so fetches must not wait.
            "fetch.wait.max.ms": 10,
        }
        return Consumer(self._common | settings)

    def close(self) -> None:
        """Close the connections to the broker."""
        for client in (self._settled, self._all, self._group):
            client.close()

    def span(self, chain: int) -> Span:
        """Return the partition's first offset and the group's committed offset."""
        place = TopicPartition(TOPIC, chain)
        low, _ = self._settled.get_watermark_offsets(place, timeout=TIMEOUT_S)
        (committed,) = self._group.committed([place], timeout=TIMEOUT_S)
        return Span(low, max(committed.offset, low))

    def first_offset(self, chain: int) -> int:
        """Return the partition's first offset."""
        return self._offsets(TOPIC, chain)[0]

    def partitions(self) -> set[Source]:
        """Return the partitions of every topic."""
        topics = self._all.list_topics(timeout=TIMEOUT_S).topics
        return {(name, number) for name, topic in topics.items() for number in topic.partitions}

    def ends(self, sources: Iterable[Source]) -> dict[Source, int]:
        """Return the end of each partition: the offset after its last message."""
        return {source: self._offsets(*source)[1] for source in sources}

    def _offsets(self, topic: str, number: int) -> tuple[int, int]:
        return self._all.get_watermark_offsets(TopicPartition(topic, number), timeout=TIMEOUT_S)

    def entries(self, chain: int, low: int, *, settled: bool = True) -> Iterator[Entry]:
        """Yield the events from an offset to the end; skip invalid messages, which were parked.

        With `settled` false, the events of open transactions are included.
        """
        reader = self._settled if settled else self._all
        for message in _read(reader, TOPIC, chain, low):
            try:
                yield to_entry(to_record(message))
            except BadMessage:
                continue

    def parked(self, sources: Iterable[str]) -> Iterator[Position]:
        """Yield the positions of source topics whose events are dead letters.

        The router parks what it cannot audit, and this service parks what it cannot record.
        """
        known = self._all.list_topics(timeout=TIMEOUT_S).topics
        for name in [TOPIC, *sources]:
            letters = name + DEAD_LETTER_SUFFIX
            if letters in known:
                for number in range(DEAD_LETTER_PARTITIONS):
                    for message in _read(self._all, letters, number, 0):
                        yield from _origin(to_record(message))


def _read(reader: Consumer, topic: str, number: int, low: int) -> Iterator[Message]:
    """Yield the messages of a partition from an offset on; stop at the partition's end."""
    place = TopicPartition(topic, number, low)
    first, end = reader.get_watermark_offsets(place, timeout=TIMEOUT_S)
    if max(first, low) >= end:
        return
    reader.assign([TopicPartition(topic, number, max(first, low))])
    while True:
        for message in reader.consume(READ_ROWS, READ_WAIT_S):
            error = message.error()
            if error is None:
                yield message
            # The client's own error codes have a leading underscore.
            elif error.code() == KafkaError._PARTITION_EOF:
                return
            else:
                raise KafkaException(error)


def _origin(record: Record) -> Iterator[Position]:
    """Yield the position in a source topic that a dead letter comes from, if it names one."""
    topic = record.header("dlq-original-topic")
    try:
        if topic == TOPIC:
            event = AuditEvent.FromString(record.value)
            yield event.source_topic, event.source_partition, event.source_offset
        else:
            partition = int(record.header("dlq-original-partition"))
            yield topic, partition, int(record.header("dlq-original-offset"))
    except (DecodeError, ValueError):
        return
