"""The Kafka client's settings, and its messages as plain records.

The library blocks, so one thread owns each consumer. `take` is the one way to read: in batches.
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
"""How long a consumer waits for a first message before it looks whether it shall stop."""

REST_WAIT_S = 0.002
"""How long it takes the client's thread to hand on what one fetch brought."""

FETCH_BYTES_MIN = 262_144

BATCH_ROWS_MAX = 500
"""Most records of a batch, for a group that does not set it."""

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
    """Most records that a handler gets at once."""
    linger_ms: int = 20
    """How long the broker gathers messages before it hands them out: the price in latency of
    fewer and larger batches."""
    rejoin_s_max: float = 30.0
    """How long a member may be outside its group while the brokers answer; then it is restarted."""

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
    """What a consumer says of itself to probes and metrics."""

    up: bool = False
    """False while the brokers or what the handler needs cannot be reached."""
    applied: int = 0
    parked: int = 0
    partitions: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    fatal: KafkaError | None = None
    """What the client cannot recover from; the process must end."""

    def note(self, error: KafkaError) -> None:
        """Take an error that belongs to no message; the client calls this."""
        if error.fatal():
            self.fatal = error
        self.turn(False, error=error.name(), detail=error.str())

    def turn(self, up: bool, **facts: object) -> None:
        """Note the state; log it when it changes."""
        if up != self.up:
            self.up = up
            (log.info if up else log.warning)("kafka.up" if up else "kafka.down", **facts)


class _ToStructlog(logging.Handler):
    """Brings the client library's own log lines into ours; of one kind a line every few seconds.

    A client that finds no broker says so twenty times a second.
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
    """Return the logger to hand to each client, so that its lines are structured as ours."""
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
    """Return a consumer's settings: committed data only, commits by hand, sticky partitions.

    Membership is dynamic. A static member (group.instance.id) would save the wait of a session
    after a kill, but fences itself, fatally, when the broker comes back after its session ended.
    """
    return _common(subscription.bootstrap, subscription.member) | {
        "group.id": subscription.group,
        "partition.assignment.strategy": "cooperative-sticky",
        # The shortest that brokers allow by default: so long a killed member's partitions wait.
        "session.timeout.ms": 6_000,
        "heartbeat.interval.ms": 1_500,
        "error_cb": health.note,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        # The broker waits for so much, or so long. By default it would answer each fetch with the
        # first message that comes, and a fetch costs it more than the message does.
        "fetch.min.bytes": FETCH_BYTES_MIN,
        "fetch.wait.max.ms": subscription.linger_ms,
        # Enough for several batches, little enough for a small process.
        "queued.max.messages.kbytes": 16_384,
    }


def producer_settings(bootstrap: str, client_id: str, linger_ms: int = 5) -> ClientSettings:
    """Return a producer's settings: every replica in sync acknowledges, retries double nothing."""
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
        # A message for an unknown topic is refused after this time, so that others can go on.
        "topic.metadata.propagation.max.ms": 2000,
        # Errors come by `error_cb`; below this level the library's own lines repeat them as text.
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
    """Return the next batch: wait long for its first message, hardly for the rest.

    A consume() waits until its batch is full or its time is up. Asking for one first lets an idle
    group sleep; the rest came with it, for the broker has gathered them.

    The consumer's callbacks run in here and put what partitions it loses into `left`. The client
    takes their messages out of the call that loses them; the first one was read by a call before.
    What the first call itself loses it may have got back, and the message with it.
    """
    first = consumer.consume(1, IDLE_WAIT_S)
    left.clear()
    if not first or rows_max == 1:
        return first
    rest = consumer.consume(rows_max - 1, REST_WAIT_S)
    return [m for m in first if (m.topic(), m.partition()) not in left] + rest


def next_offsets(records: Iterable[Record]) -> list[TopicPartition]:
    """Return what to commit when all records are done: each partition's last offset plus one."""
    last = {(r.topic, r.partition): r.offset + 1 for r in records}
    return [TopicPartition(topic, number, offset) for (topic, number), offset in last.items()]


def first_offsets(records: Sequence[Record]) -> list[TopicPartition]:
    """Return where to go back to when none of the records is done."""
    first = {(r.topic, r.partition): r.offset for r in reversed(records)}
    return [TopicPartition(topic, number, offset) for (topic, number), offset in first.items()]


def rewind(consumer: Consumer, records: Sequence[Record]) -> None:
    """Make the consumer read the records again; a partition that it lost is its heir's matter."""
    for place in first_offsets(records):
        try:
            consumer.seek(place)
        except KafkaException as error:
            log.info("kafka.rewind_skipped", topic=place.topic, error=str(error))


def usable(messages: Iterable[Message], health: Health) -> list[Record]:
    """Return the records among what a consume() gave; raise on a fatal error, note the others."""
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
