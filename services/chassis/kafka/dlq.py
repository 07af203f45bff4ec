"""What happens to a message that fails: whose fault it is, and the way into `<topic>.dlq`.

A message is bad when it cannot be read or breaks a rule. A dependency that is down is never a
message's fault.
"""

import asyncpg
from confluent_kafka import KafkaError, KafkaException, Producer

from services.chassis.kafka.client import (
    Headers,
    Record,
    Subscription,
    client_logger,
    producer_settings,
)

DLQ_SUFFIX = ".dlq"


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


def dlq_headers(record: Record, reason: str, error: str) -> Headers:
    """Return a parked message's headers: its own, why it was parked and where it came from."""
    own: Headers = [pair for pair in record.headers if not pair[0].startswith("dlq-")]
    told = {
        "dlq-reason": reason,
        "dlq-error": error[:1000],
        "dlq-original-topic": record.topic,
        "dlq-original-partition": str(record.partition),
        "dlq-original-offset": str(record.offset),
    }
    return own + [(name, text.encode()) for name, text in told.items()]


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
        producer.produce(
            record.topic + DLQ_SUFFIX,
            value=record.value,
            key=record.key,
            headers=dlq_headers(record, reason, f"[{s.group}] {error}"),
            on_delivery=lambda failed, _: failures.append(failed) if failed else None,
        )
        left = producer.flush(35)
        if left or failures:
            raise DependencyDown(f"{record.topic}{DLQ_SUFFIX}: {failures or 'no acknowledgement'}")
        self._producer = producer

    def _made(self) -> Producer:
        s = self._subscription
        settings = producer_settings(s.bootstrap, f"{s.member}-dlq")
        return Producer(settings, logger=client_logger())
