"""Failed messages: tells a bad message from an outage, and parks bad ones in `<topic>.dlq`.

A message is bad when it cannot be read or breaks a rule. An unreachable dependency is never the
fault of a message.
"""

from dataclasses import dataclass

import asyncpg
from confluent_kafka import KafkaError, KafkaException, Producer

from services.chassis.kafka.causes import cause_of
from services.chassis.kafka.client import (
    Headers,
    Record,
    Subscription,
    client_logger,
    producer_settings,
)
from services.chassis.unreachable import is_notification_queue_full
from services.contracts.topics import DEAD_LETTER_SUFFIX

RECORD_BYTES_MAX = 900_000
"""A larger record might not fit into one message (by default 1,000,000 bytes) with its headers."""


class DependencyDown(Exception):
    """A dependency of the handler is unreachable. The batch is retried until it is back."""


def is_down(error: Exception) -> bool:
    """Return whether a failure is an outage, so that the batch is retried and nothing is parked.

    A message can cause these errors of PostgreSQL: bad data (class 22), violated constraints (23),
    values too large for an index (54) and errors that our own functions raise (P0). A missing table
    or grant is the fault of the deployment.
    """
    if isinstance(error, asyncpg.PostgresError):
        blamed = (
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
            asyncpg.ProgramLimitExceededError,
            asyncpg.PLPGSQLError,
        )
        return not isinstance(error, blamed) or is_notification_queue_full(error)
    return isinstance(
        error, DependencyDown | OSError | TimeoutError | asyncpg.InterfaceError | KafkaException
    )


@dataclass(frozen=True, slots=True)
class Parked:
    """A message of a dead-letter topic."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


def is_too_large(record: Record) -> bool:
    """Return whether a record, with added headers, might be too large to write again."""
    own = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key) + len(record.value) + own > RECORD_BYTES_MAX


def parked(record: Record, reason: str, group: str, error: Exception) -> Parked:
    """Return the message to park: the record, the reason, the group and where it came from.

    A record that is too large is parked without its content, which is still in the original topic.
    """
    facts = {
        "dlq-reason": reason,
        "dlq-error": f"[{group}] {cause_of(error)}",
        "dlq-original-topic": record.topic,
        "dlq-original-partition": str(record.partition),
        "dlq-original-offset": str(record.offset),
    }
    headers: Headers = [(name, text.encode()) for name, text in facts.items()]
    topic = record.topic + DEAD_LETTER_SUFFIX
    if is_too_large(record):
        return Parked(topic, b"", b"", headers)
    own = [(name, value) for name, value in record.headers if not name.startswith("dlq-")]
    return Parked(topic, record.key, record.value, [*own, *headers])


class Parking:
    """Writes bad messages to their dead-letter topic; the first one makes the producer."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._producer: Producer | None = None

    def park(self, record: Record, reason: str, error: Exception) -> None:
        """Write the record and wait for its acknowledgement; raise DependencyDown without one."""
        s = self._subscription
        # Keep a producer only after it has succeeded: one that failed may be broken for good.
        producer, self._producer = self._producer or self._made(), None
        failures: list[KafkaError] = []
        message = parked(record, reason, s.group, error)
        producer.produce(
            message.topic,
            value=message.value,
            key=message.key,
            headers=message.headers,
            on_delivery=lambda failed, _: failures.append(failed) if failed else None,
        )
        left = producer.flush(35)
        if left or failures:
            raise DependencyDown(f"{message.topic}: {failures or 'no acknowledgement'}")
        self._producer = producer

    def _made(self) -> Producer:
        s = self._subscription
        settings = producer_settings(s.bootstrap, f"{s.member}-dlq")
        return Producer(settings, logger=client_logger())
