"""Reads the whole log and its topic and passes both to verify.py, for `bpctl audit verify`.

Every event that the group has committed must be recorded. A link whose offset is past the end of
the topic was never an event.
"""

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from services.audit.chain import Entry
from services.audit.mapping import to_entry
from services.audit.settings import CHAINS, GROUP, TOPIC
from services.audit.store import whole_chain
from services.audit.verify import ChainCheck, Finding, Span, TopicCheck
from services.chassis.kafka import BadMessage, to_record

READ_ROWS = 1000
READ_WAIT_S = 0.05
TIMEOUT_S = 15.0


@dataclass(slots=True)
class Report:
    """What the verification read and found."""

    chains: int = 0
    records: int = 0
    events: int = 0
    """Events of the topic that were compared."""
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def ok(self) -> bool:
        """True when there are no findings."""
        return not self.findings


async def inspect(connection: Any, bootstrap: str, chains: int = CHAINS) -> Report:
    """Verify every chain, alone and against its partition; the connection only reads."""
    report = Report()
    topic = await asyncio.to_thread(_Topic, bootstrap)
    try:
        for chain in range(chains):
            await _inspect_chain(connection, topic, chain, report)
    finally:
        await asyncio.to_thread(topic.close)
    return report


async def _inspect_chain(connection: Any, topic: "_Topic", chain: int, report: Report) -> None:
    span = await asyncio.to_thread(topic.span, chain)
    links, compared = ChainCheck(chain), TopicCheck(chain)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for row in whole_chain(connection, chain):
            links.feed(row)
            compared.feed_row(row)
    # Events may arrive while the log is read. Compared with the earlier end of the topic, their
    # links would look inserted.
    seen = await asyncio.to_thread(topic.span, chain)
    span = Span(span.low, span.committed, seen.high)
    report.events += await asyncio.to_thread(_compare, topic, chain, span, compared)
    report.chains += 1
    report.records += links.rows
    report.findings += links.finish() + compared.finish(span)


def _compare(topic: "_Topic", chain: int, span: Span, compared: TopicCheck) -> int:
    count = 0
    for entry in topic.entries(chain, span):
        compared.feed_entry(entry, span)
        count += 1
    return count


class _Topic:
    """The topic audit-logs, read outside any consumer group. Its calls block."""

    def __init__(self, bootstrap: str) -> None:
        common = {"bootstrap.servers": bootstrap, "enable.auto.commit": False, "log_level": 3}
        self._reader = Consumer(
            common
            | {
                "group.id": f"audit-verify-{uuid.uuid4()}",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                # An empty fetch reports the end of a partition, so fetches must not wait.
                "fetch.wait.max.ms": 10,
            }
        )
        self._group = Consumer(common | {"group.id": GROUP})

    def close(self) -> None:
        """Close the connections to the broker."""
        self._reader.close()
        self._group.close()

    def span(self, chain: int) -> Span:
        """Return the partition's first offset, end offset and the group's committed offset."""
        place = TopicPartition(TOPIC, chain)
        low, high = self._reader.get_watermark_offsets(place, timeout=TIMEOUT_S)
        (committed,) = self._group.committed([place], timeout=TIMEOUT_S)
        return Span(low, max(committed.offset, low), high)

    def entries(self, chain: int, span: Span) -> Iterator[Entry]:
        """Yield the events of a span; skip invalid messages, which were parked."""
        if span.low >= span.high:
            return
        self._reader.assign([TopicPartition(TOPIC, chain, span.low)])
        while True:
            for message in self._reader.consume(READ_ROWS, READ_WAIT_S):
                error = message.error()
                if error is not None:
                    # The client's own error codes have a leading underscore.
                    if error.code() == KafkaError._PARTITION_EOF:
                        return
                    raise KafkaException(error)
                try:
                    yield to_entry(to_record(message))
                except BadMessage:
                    continue
