"""A broker in memory: topics with partitions. Only records with the same key keep their order."""

import asyncio
import zlib
from collections.abc import Callable, Sequence

from lab.simulator.context import Context
from lab.simulator.processes import Process
from lab.simulator.randomness import Point
from services.chassis.kafka import OutgoingMessage, Receipt, Record, Refusal

PARTITIONS = 6
_LATENCY, _PREFIX, _LATE = 11, 12, 13


class Broker:
    """The partitions of each topic, and how far each group has read them."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], list[Record]] = {}
        self._read: dict[tuple[str, str, int], int] = {}
        self.arrivals: list[asyncio.Event] = []
        """Each consumer's event, which is set when a record arrives."""

    def append(
        self, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]
    ) -> Record:
        """Append a record to its partition."""
        partition = zlib.crc32(key) % PARTITIONS
        log = self.logs.setdefault((topic, partition), [])
        record = Record(topic, partition, len(log), key, value, tuple(headers))
        log.append(record)
        for arrived in self.arrivals:
            arrived.set()
        return record

    def unread(self, group: str, topic: str, partition: int, rows_max: int) -> list[Record]:
        """Return the records of a partition that a group has not read, in order."""
        log = self.logs.get((topic, partition))
        if log is None:
            return []
        start = self._read.get((group, topic, partition), 0)
        return log[start : start + rows_max]

    def is_behind(self, group: str, topic: str, partition: int) -> bool:
        """Return whether a group has not read all of a partition."""
        log = self.logs.get((topic, partition))
        return log is not None and len(log) > self._read.get((group, topic, partition), 0)

    def commit(self, group: str, records: Sequence[Record]) -> None:
        """Move a group's offsets past these records."""
        for record in records:
            self._read[group, record.topic, record.partition] = record.offset + 1


class Producer:
    """The relay's producer: partitions keep their order, a crash writes a prefix of a batch."""

    def __init__(
        self,
        context: Context,
        broker: Broker,
        published: Callable[[Record], None],
        process: Process,
    ) -> None:
        """`published` is called with each record that arrives at the broker."""
        self._context = context
        self._broker = broker
        self._published = published
        self._process = process

    async def send_all(self, messages: Sequence[OutgoingMessage]) -> list[Receipt | Refusal]:
        """Write messages and acknowledge each."""
        context, process = self._context, self._process
        randomness, entity = context.randomness, process.entity
        if not process.runs():
            await process.gate()
        await context.loop.pause(randomness.between(0.002, 0.02, _LATENCY, entity))
        if randomness.injects(Point.RELAY_CRASH_SENDING, entity):
            split = int(randomness.between(0, len(messages) + 1, _PREFIX, entity))
            late = int(randomness.between(split, len(messages) + 1, _PREFIX, entity))
            self._write(messages[:split])
            # The other messages are on the wire, and arrive after the process died and its
            # successor began.
            delay_s = randomness.between(0, 3, _LATE, entity)
            context.loop.call_later(delay_s, self._write, messages[split:late])
            await context.crash(process, "while it sends a batch")
        receipts = self._write(messages)
        if randomness.injects(Point.RELAY_CRASH_SENT, entity):
            await context.crash(process, "after a batch was sent")
        if not process.runs():
            await process.gate()
        return list(receipts)

    def _write(self, messages: Sequence[OutgoingMessage]) -> list[Receipt]:
        receipts: list[Receipt] = []
        for message in messages:
            record = self._broker.append(message.topic, message.key, message.value, message.headers)
            self._published(record)
            receipts.append(Receipt(record.partition, record.offset))
        return receipts
