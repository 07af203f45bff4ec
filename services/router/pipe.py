"""The router's one loop: read a batch, write what it becomes and the offsets in one transaction.

It runs in a thread of its own, since the client blocks. Exactly once rests on three things: the
offsets are part of the transaction; `transactional.id` belongs to the slot, so a restarted process
fences what is left of the one before; readers see committed records only. After any failure the
transaction is aborted and the batch is read again.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaException, Producer

from services.chassis import kafka
from services.router.mapping import fan_out
from services.router.settings import GROUP, SOURCES, Settings

BACKOFF_S = 0.2
CALL_TIMEOUT_S = 10.0
"""How long one call of the transaction may block before it is repeated."""

log = structlog.get_logger()


class Stopped(Exception):
    """The process shall end; what is not committed is left to the next one."""


class Pipe:
    """Reader and transactional writer of one slot."""

    def __init__(self, settings: Settings, stop: threading.Event, health: kafka.Health) -> None:
        self._settings = settings
        self._stop = stop
        self._health = health
        member = f"{settings.service}-{settings.slot}"
        self._subscription = kafka.Subscription(
            bootstrap=settings.kafka_bootstrap,
            group=GROUP,
            member=member,
            topics=SOURCES,
            batch_rows_max=settings.batch_rows_max,
            linger_ms=settings.batch_linger_ms,
        )
        writer = kafka.producer_settings(settings.kafka_bootstrap, member) | {
            "transactional.id": member,
            "transaction.timeout.ms": settings.transaction_timeout_ms,
            "delivery.timeout.ms": settings.transaction_timeout_ms,
        }
        self._producer = Producer(writer, logger=kafka.client_logger())

    def run(self) -> None:
        """Route until stopped. A fatal error, such as being fenced, ends the process."""
        try:
            # First: the slot's unfinished transaction is settled before its offsets are read.
            self._until_done(self._producer.init_transactions, CALL_TIMEOUT_S)
        except Stopped:
            return
        consumer = Consumer(
            kafka.consumer_settings(self._subscription), logger=kafka.client_logger()
        )
        try:
            consumer.subscribe(list(SOURCES), on_assign=self._assigned)
            while not self._stop.is_set():
                self._batch(consumer)
        except Stopped:
            log.info("router.stopped_in_transaction")
        finally:
            consumer.close()

    def _assigned(self, _: Consumer, places: list[Any]) -> None:
        self._health.turn(True)
        log.info("kafka.assigned", partitions=[f"{p.topic}/{p.partition}" for p in places])

    def _batch(self, consumer: Consumer) -> None:
        s = self._subscription
        records = kafka.usable(kafka.take(consumer, s.batch_rows_max), self._health)
        if not records:
            return
        try:
            self._transact(consumer, records)
        except KafkaException as error:
            self._give_up(consumer, records, error)
        else:
            self._health.turn(True)
            self._health.applied += len(records)

    def _transact(self, consumer: Consumer, records: Sequence[kafka.Record]) -> None:
        self._producer.begin_transaction()
        for record in records:
            for out in fan_out(record):
                self._write(out.topic, out.value, out.key, out.headers)
        self._until_done(
            self._producer.send_offsets_to_transaction,
            kafka.next_offsets(records),
            consumer.consumer_group_metadata(),
            CALL_TIMEOUT_S,
        )
        self._until_done(self._producer.commit_transaction, CALL_TIMEOUT_S)

    def _write(self, topic: str, value: bytes, key: bytes, headers: kafka.Headers) -> None:
        if topic.endswith(kafka.DLQ_SUFFIX):
            self._health.parked += 1
            log.error("router.parked", topic=topic, headers=dict(headers).get("dlq-reason"))
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, headers=headers)
            except BufferError:
                self._producer.poll(BACKOFF_S)
            else:
                return

    def _give_up(
        self, consumer: Consumer, records: Sequence[kafka.Record], error: KafkaException
    ) -> None:
        if error.args[0].fatal():
            raise error
        self._health.turn(False, error=error.args[0].name())
        log.warning("router.transaction_aborted", error=str(error), records=len(records))
        self._until_done(self._producer.abort_transaction, CALL_TIMEOUT_S)
        kafka.rewind(consumer, records)
        self._stop.wait(BACKOFF_S)

    def _until_done(self, call: Callable[..., Any], *args: Any) -> None:
        """Repeat a call that may be repeated until it is done; raise what repeating cannot mend."""
        while True:
            try:
                call(*args)
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
                self._health.turn(False, error=error.args[0].name())
                if self._stop.wait(BACKOFF_S):
                    raise Stopped from error
            else:
                return
