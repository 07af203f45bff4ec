"""The Kafka client's settings, and its messages as plain records.

The library blocks, so one thread owns each consumer. Consumers read batches, with `take`.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from services.chassis.settings import ServiceSettings

IDLE_WAIT_S = 0.5
"""How long a consumer waits for a first message before it checks whether it must stop."""

REST_WAIT_S = 0.002
"""How long the client's thread takes to hand over the messages of one fetch."""

FETCH_BYTES_MIN = 262_144

BATCH_ROWS_MAX = 500
"""The largest number of records of a batch, for a group that does not set it."""

LOG_EVERY_S = 5.0

ClientSettings = dict[str, Any]
Place = tuple[str, int]
"""Topic and number of a partition."""
Headers = list[tuple[str, str | bytes | None]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Record:
    """One message as a handler sees it."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    def header(self, name: str) -> str:
        """Return a header's text, "" if there is none."""
        for key, value in self.headers:
            if key == name:
                return value.decode(errors="replace")
        return ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Which topics a group reads, and how."""

    bootstrap: str
    group: str
    """Consumer group, such as "audit"."""
    member: str
    """Name of this process in the group and in logs, such as "audit-0"."""
    topics: tuple[str, ...]
    batch_rows_max: int = BATCH_ROWS_MAX
    """The largest number of records that a handler gets at once."""
    linger_ms: int = 20
    """How long the broker gathers messages before it answers a fetch. A longer wait means fewer and
    larger batches, and more latency."""
    rejoin_s_max: float = 30.0
    """How long a member may be outside its group while the brokers answer, before it restarts."""

    @classmethod
    def of(
        cls,
        settings: ServiceSettings,
        *,
        group: str,
        topics: tuple[str, ...],
        linger_ms: int,
        batch_rows_max: int = BATCH_ROWS_MAX,
    ) -> "Subscription":
        """Return what a service process reads; its name in the group is `<service>-<slot>`."""
        return cls(
            bootstrap=settings.kafka_bootstrap,
            group=group,
            member=f"{settings.service}-{settings.slot}",
            topics=topics,
            batch_rows_max=batch_rows_max,
            linger_ms=linger_ms,
            rejoin_s_max=settings.rejoin_s_max,
        )


@dataclass(slots=True)
class Health:
    """The state of a consumer, for probes, logs and tests."""

    up: bool = False
    """False while the brokers or a dependency of the handler are unreachable."""
    applied: int = 0
    parked: int = 0
    partitions: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    fatal: KafkaError | None = None
    """An error from which the client cannot recover, so the process must end."""

    def note(self, error: KafkaError) -> None:
        """Record an error that belongs to no message; the client calls this."""
        if error.fatal():
            self.fatal = error
        self.turn(False, error=error.name(), detail=error.str())

    def turn(self, up: bool, **facts: object) -> None:
        """Set the state; log it when it changes."""
        if up != self.up:
            self.up = up
            (log.info if up else log.warning)("kafka.up" if up else "kafka.down", **facts)


class _ToStructlog(logging.Handler):
    """Forwards the client library's log lines, each kind once every few seconds.

    A client that finds no broker logs it twenty times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logged_s: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        kind = " ".join(text.split(" ", 2)[:2])
        now_s = time.monotonic()
        if now_s - self._logged_s.get(kind, -LOG_EVERY_S) >= LOG_EVERY_S:
            self._logged_s[kind] = now_s
            log.warning("kafka.client", detail=text)


def client_logger() -> logging.Logger:
    """Return the logger for each client, so that its lines are structured like all others."""
    logger = logging.getLogger("services.chassis.kafka.client")
    if not logger.handlers:
        logger.addHandler(_ToStructlog())
        logger.propagate = False
    return logger


def _common(bootstrap: str, client_id: str) -> ClientSettings:
    return {
        "bootstrap.servers": bootstrap,
        "client.id": client_id,
        "allow.auto.create.topics": False,
        "socket.nagle.disable": True,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2000,
    }


_PRODUCER: ClientSettings = {
    # Every in-sync replica acknowledges, and a retry writes no duplicate.
    "acks": "all",
    "enable.idempotence": True,
    # Java's partitioner: every client, in any language, puts a key in the same partition.
    "partitioner": "murmur2_random",
}


def consumer_settings(subscription: Subscription, health: Health) -> ClientSettings:
    """Return a consumer's settings: committed data only, manual commits, sticky partitions.

    Membership is dynamic. A static member (group.instance.id) would save the session timeout after
    a kill. But if the broker is down for longer than the session, the member fences itself, which
    is fatal.
    """
    return _common(subscription.bootstrap, subscription.member) | {
        "group.id": subscription.group,
        "partition.assignment.strategy": "cooperative-sticky",
        # The shortest that brokers allow by default: the partitions of a killed member wait this
        # long for a new owner.
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 1_500,
        "error_cb": health.note,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        # The broker answers a fetch at this size or after this time. By default it would answer
        # with the first message, and a fetch costs it more than a message does.
        "fetch.min.bytes": FETCH_BYTES_MIN,
        "fetch.wait.max.ms": subscription.linger_ms,
        # Enough for several batches, and small enough for a small process.
        "queued.max.messages.kbytes": 16_384,
    }


def producer_settings(bootstrap: str, client_id: str, linger_ms: int = 5) -> ClientSettings:
    """Return a producer's settings: every in-sync replica acknowledges; no retry duplicates."""
    return (
        _common(bootstrap, client_id)
        | _PRODUCER
        | {
            "linger.ms": linger_ms,
            "delivery.timeout.ms": 30_000,
        }
    )


def acked_producer_settings(bootstrap: str, client_id: str) -> ClientSettings:
    """Return the settings of a producer that waits for Kafka without a timeout.

    A message never times out inside the client, so two messages of one partition keep their order.
    """
    return _PRODUCER | {
        "bootstrap.servers": bootstrap,
        "client.id": client_id,
        "message.timeout.ms": 0,
        "max.in.flight.requests.per.connection": 5,
        # Long enough to hand over a whole batch, so that it goes in one request. The flush that
        # follows ends the wait.
        "linger.ms": 20,
        "compression.type": "lz4",
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.fast.interval.ms": 100,
        # A message for an unknown topic is refused after this time, so that other topics continue.
        "topic.metadata.propagation.max.ms": 2000,
        # `error_cb` reports errors; at more verbose levels the library repeats them as text.
        "log_level": 3,
    }


def to_record(message: Message) -> Record:
    """Return the client's message as a plain record."""
    headers: Any = message.headers() or ()
    return Record(
        topic=message.topic() or "",
        partition=_whole(message.partition()),
        offset=_whole(message.offset()),
        key=_raw(message.key()),
        value=_raw(message.value()),
        headers=tuple((name, value or b"") for name, value in headers),
    )


def _whole(number: int | None) -> int:
    return -1 if number is None else number


def _raw(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def take(consumer: Consumer, rows_max: int, left: set[Place]) -> list[Message]:
    """Return the next batch: wait long for its first message and briefly for the rest.

    consume() waits until its batch is full or its timeout ends. Asking for one message first lets
    an idle group sleep; the client then already has the other messages of that fetch.

    The consumer's callbacks run inside consume() and put the partitions that it loses into `left`.
    A consume() that loses a partition drops the messages of that partition. The first message came
    from an earlier call, so `take` drops it. A partition that was lost during the first call may
    have been assigned again, with its message, so `left` is cleared after that call.
    """
    first = consumer.consume(1, IDLE_WAIT_S)
    left.clear()
    if not first or rows_max == 1:
        return first
    rest = consumer.consume(rows_max - 1, REST_WAIT_S)
    return [m for m in first if (m.topic(), m.partition()) not in left] + rest


def next_offsets(records: Iterable[Record]) -> list[TopicPartition]:
    """Return the offsets to commit after all records: each partition's last offset plus one."""
    last = {(r.topic, r.partition): r.offset + 1 for r in records}
    return [TopicPartition(topic, number, offset) for (topic, number), offset in last.items()]


def first_offsets(records: Sequence[Record]) -> list[TopicPartition]:
    """Return the offsets to rewind to when none of the records was applied."""
    first = {(r.topic, r.partition): r.offset for r in reversed(records)}
    return [TopicPartition(topic, number, offset) for (topic, number), offset in first.items()]


def rewind(consumer: Consumer, records: Sequence[Record]) -> None:
    """Make the consumer read the records again; skip partitions that it has lost."""
    for place in first_offsets(records):
        try:
            consumer.seek(place)
        except KafkaException as error:
            log.info("kafka.rewind_skipped", topic=place.topic, error=str(error))


def usable(messages: Iterable[Message], health: Health) -> list[Record]:
    """Return the records among the messages; raise a fatal error, record other errors."""
    if health.fatal is not None:
        raise KafkaException(health.fatal)
    records: list[Record] = []
    for message in messages:
        error = message.error()
        if error is None:
            records.append(to_record(message))
        else:
            health.note(error)
    if records:
        health.turn(True)
    return records
