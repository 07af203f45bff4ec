"""Deletes records that every reading group has read; Kafka itself deletes none by age or size.

So a group loses no records, no matter how long it is down. The contract names the groups of each
topic. A record is deleted when all of these groups have committed it and it is older than a margin.
Records that a stopped group has not read are kept, and a log line names the group and the age.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from services.chassis.kafka.client import Place
from services.contracts.topics import Topic
from services.kernel.clock import utc_now

TIMEOUT_S = 10.0
"""How long Kafka may take to answer, over all attempts."""
ATTEMPT_S = 2.0
"""How long one attempt may take. A thread cannot be cancelled while it waits for an answer."""
PAUSE_S = 0.1
"""Time between two attempts."""

_OUTAGE = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})
"""Errors of the connection. Each partition would have the same error, after the same wait."""

_PASSING = _OUTAGE | {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
    KafkaError._WAIT_COORD,
    KafkaError._WAIT_CACHE,
}
"""Errors that Kafka calls retriable, for the requests of this module. The client sets the flag
`retriable()` only for transactions."""

Answer = TypeVar("Answer")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a partition is settled; each offset is exclusive."""

    low: int
    """First offset that Kafka holds."""
    read: int
    """End of the records that every group has committed."""
    aged: int
    """End of the records that are older than the margin."""
    limit: int | None = None
    """End of the records that the topic's owner releases; None if the groups alone decide."""

    def deletable(self) -> int | None:
        """Return the offset before which records may be deleted, None if there are none."""
        end = min(self.read, self.aged, self.aged if self.limit is None else self.limit)
        return end if end > self.low else None


class Trimmer:
    """Deletes settled records, partition by partition."""

    def __init__(self, bootstrap: str, margin: timedelta) -> None:
        self._bootstrap = bootstrap
        self._margin = margin

    async def trim(
        self, topics: Iterable[Topic], limits: Mapping[int, int] | None = None
    ) -> dict[Place, int]:
        """Delete settled records; return each changed partition with its new first offset.

        `limits` has the end of the deletable records, by partition; other partitions then keep
        everything. Raises ConnectionError when Kafka cannot be reached. After a cancellation, the
        thread that asks Kafka ends within ATTEMPT_S.
        """
        ending = threading.Event()
        before = utc_now() - self._margin
        try:
            return await asyncio.to_thread(self._trim, list(topics), limits, before, ending)
        except KafkaException as error:
            raise ConnectionError(str(error)) from error
        finally:
            ending.set()

    def _trim(
        self,
        topics: list[Topic],
        limits: Mapping[int, int] | None,
        before: datetime,
        ending: threading.Event,
    ) -> dict[Place, int]:
        changed: dict[Place, int] = {}
        reader = _Reader(self._bootstrap, before, ending)
        try:
            for topic in topics:
                for number in reader.partitions(topic) if limits is None else limits:
                    if ending.is_set():
                        return changed
                    end = self._trimmed(reader, topic, number, (limits or {}).get(number))
                    if end is not None:
                        changed[topic.name, number] = end
        finally:
            reader.close()
            if changed:
                told = [f"{topic}/{number}@{end}" for (topic, number), end in changed.items()]
                log.info("kafka.topics_trimmed", first_offsets=told)
        return changed

    def _trimmed(
        self, reader: "_Reader", topic: Topic, number: int, limit: int | None
    ) -> int | None:
        """Delete settled records of one partition; return its new first offset, None if unchanged.

        If Kafka cannot delete in a partition, only that partition waits for the next round. An
        outage of Kafka raises.
        """
        try:
            end = reader.reach(topic, number, limit).deletable()
            if end is not None:
                reader.delete(TopicPartition(topic.name, number, end))
        except KafkaException as error:
            if _is_outage(error):
                raise
            log.warning(
                "kafka.trimming_waits", topic=topic.name, partition=number, error=str(error)
            )
            return None
        return end


class _Reader:
    """Reads offsets of groups and of partitions, and deletes records.

    Without a subscription, a client is not a member of its group.
    """

    def __init__(self, bootstrap: str, before: datetime, ending: threading.Event) -> None:
        self._bootstrap = bootstrap
        self._ending = ending
        self._before_ms = int(before.timestamp() * 1000)
        self._clients: dict[str, Consumer] = {}
        self._own = f"trimming-{uuid.uuid4()}"
        self._admin: AdminClient | None = None

    def close(self) -> None:
        """Close the connections to the broker."""
        for client in self._clients.values():
            client.close()

    def partitions(self, topic: Topic) -> list[int]:
        """Return the numbers of a topic's partitions; none if Kafka does not have the topic."""
        client = self._client(self._own)
        known = self._answer(lambda s: client.list_topics(topic.name, timeout=s)).topics
        return sorted(known[topic.name].partitions)

    def reach(self, topic: Topic, number: int, limit: int | None) -> Reach:
        """Return how far a partition is settled; log each group that keeps old records."""
        place = TopicPartition(topic.name, number)
        # Read the groups' offsets before the end; otherwise they could seem to be past it.
        read = {group: self._committed(group, place) for group in topic.reader_groups}
        client = self._client(self._own)
        low, high = self._answer(lambda s: client.get_watermark_offsets(place, timeout=s))
        aged = self._aged(topic.name, number, high)
        for group, offset in read.items():
            if offset > high:
                # The partition lost its last records, and new records have the same offsets.
                place_of = {"topic": topic.name, "partition": number}
                log.error("kafka.commit_past_the_end", group=group, offset=offset, **place_of)
                read[group] = 0
        for group, offset in read.items():
            if max(offset, low) < aged:
                self._tell_unread(group, topic.name, number, max(offset, low))
        return Reach(low=low, read=min(read.values(), default=0), aged=aged, limit=limit)

    def delete(self, place: TopicPartition) -> None:
        """Delete the records before an offset of a partition."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 3})
        for future in self._admin.delete_records([place], request_timeout=TIMEOUT_S).values():
            self._answer(lambda s, future=future: wait([future], s).done or _time_out())
            future.result()

    def _answer(self, ask: Callable[[float], Answer]) -> Answer:
        """Return Kafka's answer; `ask` takes the time of one attempt.

        An error that passes is retried. Raises the error of the last attempt after TIMEOUT_S, or at
        once when the caller has left.
        """
        end = time.monotonic() + TIMEOUT_S
        while True:
            try:
                return ask(ATTEMPT_S)
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() >= end:
                    raise
                if self._ending.wait(PAUSE_S):
                    raise

    def _client(self, group: str) -> Consumer:
        if group not in self._clients:
            settings: dict[str, Any] = {
                "bootstrap.servers": self._bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
                "log_level": 3,
            }
            self._clients[group] = Consumer(settings)
        return self._clients[group]

    def _aged(self, topic: str, number: int, high: int) -> int:
        since = TopicPartition(topic, number, self._before_ms)
        client = self._client(self._own)
        younger = self._answer(lambda s: _sound(client.offsets_for_times([since], timeout=s)))
        # Kafka answers with a negative offset when no record is younger.
        return high if younger < 0 else younger

    def _committed(self, group: str, place: TopicPartition) -> int:
        """Return the end of a group's committed records; 0 if it has committed nothing.

        The broker also forgets the offsets of a group without members after some time. The group
        then starts again at the first record.
        """
        client = self._client(group)
        return max(self._answer(lambda s: _sound(client.committed([place], timeout=s))), 0)

    def _tell_unread(self, group: str, topic: str, number: int, offset: int) -> None:
        for time_ms in self._times_from(TopicPartition(topic, number, offset)):
            log.warning(
                "kafka.unread_records",
                group=group,
                topic=topic,
                partition=number,
                offset=offset,
                age_s=round(time.time() - time_ms / 1000),
            )

    def _times_from(self, place: TopicPartition) -> Iterator[int]:
        """Yield the time of the first record from an offset, in milliseconds since 1970.

        After the last record there may be only a transaction marker, which is not a record.
        """
        client = self._client(self._own)
        client.assign([place])
        try:
            for message in self._answer(lambda s: client.consume(1, s) or _time_out()):
                if message.error() is None:
                    yield message.timestamp()[1]
        finally:
            client.unassign()


def _sound(answers: list[TopicPartition]) -> int:
    """Return the offset of the one answer; raise KafkaException for a failure of its partition."""
    (answer,) = answers
    if answer.error is not None:
        raise KafkaException(answer.error)
    return answer.offset


def _is_outage(error: KafkaException) -> bool:
    return error.args[0].code() in _OUTAGE


def _time_out() -> NoReturn:
    """Raise the error of an answer that did not arrive in time."""
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
