"""A Kafka producer for callers that must know whether every message arrived.

It is idempotent, with acks=all. A message never times out inside the client: it waits while Kafka
is down, so two messages of one partition never change places. Each message gets a receipt with its
partition and offset, or a refusal with the reason.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from services.chassis.kafka.client import acked_producer_settings

FLUSH_S = 1.0
"""How often a wait for acknowledgements is logged."""

_REFUSED_FOR_GOOD = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_MSG,
        KafkaError._INVALID_ARG,  # pyright: ignore[reportPrivateUsage]
    }
)
_TOPIC_UNUSABLE = frozenset(
    {
        KafkaError._UNKNOWN_TOPIC,  # pyright: ignore[reportPrivateUsage]
        KafkaError._UNKNOWN_PARTITION,  # pyright: ignore[reportPrivateUsage]
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
    }
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """All in-sync replicas have the message."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Kafka does not have the message. `for_good`: a retry will not change that."""

    reason: str
    for_good: bool
    topic_unusable: bool


class AckedProducer:
    """Sends batches and waits for every acknowledgement."""

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._fatal: KafkaError | None = None
        settings = acked_producer_settings(bootstrap, client_id)
        self._producer = Producer(settings | {"error_cb": self._note})

    async def send_all(self, messages: Sequence[OutgoingMessage]) -> list[Receipt | Refusal]:
        """Send messages in order; return one answer for each, as soon as all have one.

        Waits while Kafka is down. After a cancellation some messages may still arrive, so the
        caller sends all of them again. Raises KafkaException after a fatal error of the client: it
        would refuse every later message too, so the process must end.
        """
        answers: list[Receipt | Refusal | None] = [None] * len(messages)
        for index, message in enumerate(messages):
            self._produce(answers, index, message)
        waited_s = 0.0
        while await asyncio.to_thread(self._producer.flush, FLUSH_S):
            waited_s += FLUSH_S
            missing = sum(1 for answer in answers if answer is None)
            log.warning("kafka.waiting", waited_s=waited_s, unacknowledged=missing)
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        return [cast("Receipt | Refusal", answer) for answer in answers]

    def _produce(
        self, answers: list[Receipt | Refusal | None], index: int, message: OutgoingMessage
    ) -> None:
        def delivered(error: KafkaError | None, report: Message) -> None:
            answers[index] = _receipt(report) if error is None else _refusal(error)

        try:
            self._producer.produce(
                message.topic,
                key=message.key,
                value=message.value,
                headers=list(message.headers),
                on_delivery=delivered,
            )
        except KafkaException as error:
            answers[index] = _refusal(error.args[0])

    def _note(self, error: KafkaError) -> None:
        log.warning("kafka.client_error", error=error.name(), fatal=error.fatal())
        if error.fatal():
            self._fatal = error

    def close(self) -> None:
        """Drop messages without an acknowledgement, and close the connections."""
        self._producer.purge()
        self._producer.flush(FLUSH_S)


def _receipt(report: Message) -> Receipt:
    return Receipt(cast("int", report.partition()), cast("int", report.offset()))


def _refusal(error: KafkaError) -> Refusal:
    code: Any = error.code()
    return Refusal(
        reason=f"{error.name()}: {error.str()}",
        for_good=code in _REFUSED_FOR_GOOD,
        topic_unusable=code in _TOPIC_UNUSABLE,
    )
