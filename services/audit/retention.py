"""Deletes events of audit-logs that are recorded and signed; the topic itself keeps them forever.

Kafka deletes nothing from audit-logs by age or size. So an outage of this service, however long,
loses no event. An event is deleted when the group has committed it, a signed head covers its
record, and it is older than a margin, which verification uses to compare the log with the topic.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from services.audit.head_files import HeadStore
from services.audit.heads import Statement
from services.audit.settings import GROUP, TOPIC
from services.kernel.clock import utc_now

TIMEOUT_S = 15.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a partition of audit-logs is settled; each offset is exclusive."""

    low: int
    """First offset that Kafka holds."""
    committed: int
    """End of what the group has committed."""
    signed: int
    """End of what the last signed head covers."""
    aged: int
    """End of what is older than the margin."""

    def deletable(self) -> int | None:
        """Return the offset before which events may be deleted, None if there are none."""
        end = min(self.committed, self.signed, self.aged)
        return end if end > self.low else None


class Trimmer:
    """Deletes settled events, partition by partition."""

    def __init__(self, bootstrap: str, heads: HeadStore, margin: timedelta) -> None:
        self._bootstrap = bootstrap
        self._heads = heads
        self._margin = margin

    async def trim(self) -> dict[int, int]:
        """Delete settled events; return each changed partition with its new first offset.

        Raises ConnectionError when Kafka cannot do it now.
        """
        last = await asyncio.to_thread(self._heads.last)
        if last is None:
            return {}
        try:
            return await asyncio.to_thread(self._trim, last.statement, utc_now() - self._margin)
        except KafkaException as error:
            raise ConnectionError(str(error)) from error

    def _trim(self, statement: Statement, before: datetime) -> dict[int, int]:
        # Without a subscription, this client is not a member of the group: it only reads offsets.
        settings = {"bootstrap.servers": self._bootstrap, "group.id": GROUP, "log_level": 3}
        reader = Consumer({**settings, "enable.auto.commit": False})
        try:
            ends = _ends(reader, statement, before)
        finally:
            reader.close()
        if ends:
            self._delete(TopicPartition(TOPIC, chain, end) for chain, end in ends.items())
            log.info("audit.topic_trimmed", offsets=ends)
        return ends

    def _delete(self, places: Iterable[TopicPartition]) -> None:
        admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 3})
        deleted = admin.delete_records(list(places), request_timeout=TIMEOUT_S)
        for future in deleted.values():
            future.result()


def _ends(reader: Consumer, statement: Statement, before: datetime) -> dict[int, int]:
    """Return the offsets before which events may be deleted, by chain.

    A partition for which Kafka cannot say it waits until the next time; the others do not.
    """
    found: dict[int, int] = {}
    for head in statement.heads:
        try:
            end = _reach(reader, head.chain, head.log_offset + 1, before).deletable()
        except KafkaException as error:
            log.warning("audit.trimming_waits", chain=head.chain, error=str(error))
            continue
        if end is not None:
            found[head.chain] = end
    return found


def _reach(reader: Consumer, chain: int, signed: int, before: datetime) -> Reach:
    place = TopicPartition(TOPIC, chain)
    low, high = reader.get_watermark_offsets(place, timeout=TIMEOUT_S)
    (committed,) = reader.committed([place], timeout=TIMEOUT_S)
    since = TopicPartition(TOPIC, chain, int(before.timestamp() * 1000))
    (younger,) = reader.offsets_for_times([since], timeout=TIMEOUT_S)
    for answer in (committed, younger):
        if answer.error is not None:
            raise KafkaException(answer.error)
    # Kafka answers with a negative offset when no event is younger, or none was committed.
    aged = younger.offset if younger.offset >= 0 else high
    return Reach(low=low, committed=max(committed.offset, 0), signed=signed, aged=aged)
