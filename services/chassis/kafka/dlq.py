"""What happens to a message that fails: whose fault it is, and the way into `<topic>.dlq`.

A message is bad when it cannot be read or breaks a rule. A dependency that is down is never a
message's fault.
"""

from dataclasses import dataclass

import asyncpg
from confluent_kafka import KafkaError, KafkaException, Producer

from services.chassis.kafka.client import (
    Headers,
    Record,
    Subscription,
    client_logger,
    producer_settings,
)
from services.contracts.topics import DEAD_LETTER_SUFFIX

RECORD_BYTES_MAX = 900_000
"""What is larger might not fit into one message (1,000,000 bytes by default) with what is added."""


class BadMessage(Exception):
    """The message itself is wrong: it cannot be read or breaks a rule. It goes to the DLQ."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(detail or reason)


class DependencyDown(Exception):
    """What the handler needs cannot be reached. The batch is tried again until it can."""


def is_down(error: Exception) -> bool:
    """Tell whether a failure says nothing of the message, so that waiting is right.

    Of PostgreSQL's errors only bad data (class 22), broken constraints (23), values too large for
    an index (54) and what a function of ours raises (P0) can be the message's fault. A missing
    table or grant is a deployment's.
    """
    if isinstance(error, asyncpg.PostgresError):
        blamed = (
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
            asyncpg.ProgramLimitExceededError,
            asyncpg.PLPGSQLError,
        )
        return not isinstance(error, blamed)
    return isinstance(
        error, DependencyDown | OSError | TimeoutError | asyncpg.InterfaceError | KafkaException
    )


@dataclass(frozen=True, slots=True)
class Parked:
    """A message of a DLQ."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


def is_too_large(record: Record) -> bool:
    """Tell whether a record might not be written again with what is added to it."""
    own = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.key) + len(record.value) + own > RECORD_BYTES_MAX


def parked(record: Record, reason: str, error: str) -> Parked:
    """Return the message to park: the record, why it was parked and where it came from.

    Of a record that is too large only this is told; it stands where it came from.
    """
    facts = {
        "dlq-reason": reason,
        "dlq-error": error[:1000],
        "dlq-original-topic": record.topic,
        "dlq-original-partition": str(record.partition),
        "dlq-original-offset": str(record.offset),
    }
    headers: Headers = [(name, text.encode()) for name, text in facts.items()]
    topic = record.topic + DEAD_LETTER_SUFFIX
    if is_too_large(record):
        return Parked(topic, b"", b"", headers)
    own = [pair for pair in record.headers if not pair[0].startswith("dlq-")]
    return Parked(topic, record.key, record.value, [*own, *headers])


class Parking:
    """Writes bad messages to their topic's DLQ; the producer is made when the first one comes."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._producer: Producer | None = None

    def park(self, record: Record, reason: str, error: str) -> None:
        """Write the record and wait for the acknowledgement; raise DependencyDown without one."""
        s = self._subscription
        # Only a producer that did its work is kept: another may be out of action for good.
        producer, self._producer = self._producer or self._made(), None
        failures: list[KafkaError] = []
        message = parked(record, reason, f"[{s.group}] {error}")
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
