"""The router's loop: read a batch, write its outgoing records and offsets in one transaction.

It runs in its own thread, because the client blocks. Three things make it exactly once. The offsets
are part of the transaction. `transactional.id` belongs to the slot, so a restarted process fences
the previous one. Readers see only committed records. After any failure the transaction is aborted
and the batch is read again.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from services.chassis import kafka
from services.chassis.kafka.membership import Membership
from services.contracts.topics import DEAD_LETTER_SUFFIX
from services.router.mapping import Outgoing, fan_out
from services.router.settings import GROUP, SOURCES, RouterSettings

BACKOFF_S = 0.2
CALL_TIMEOUT_S = 10.0
"""How long one call of the transaction may block before it is retried."""

log = structlog.get_logger()


class Stopped(Exception):
    """The process must end; the next process handles the uncommitted messages."""


class Writer:
    """The slot's transactional producer, replaced after any broken connection.

    librdkafka (2.16) caches the group's coordinator. It can wait forever for a coordinator that is
    gone, whatever the timeout (confluentinc/librdkafka#5456, #5511). So cached metadata expires
    soon. After a broken connection a new producer with an empty cache takes over and fences the old
    one.
    """

    def __init__(self, settings: RouterSettings) -> None:
        self._member = f"{settings.service}-{settings.slot}"
        self._settings = kafka.producer_settings(settings.kafka_bootstrap, self._member) | {
            "transactional.id": self._member,
            "transaction.timeout.ms": settings.transaction_timeout_ms,
            "delivery.timeout.ms": settings.transaction_timeout_ms,
            "error_cb": self.distrust,
            "topic.metadata.refresh.interval.ms": 2_000,
            "metadata.max.age.ms": 3_000,
        }
        self._shaken = True
        self.producer = self._made()

    def _made(self) -> Producer:
        return Producer(self._settings, logger=kafka.client_logger())

    def distrust(self, _: KafkaError | None = None) -> None:
        """Note that a connection of this producer or of the consumer broke."""
        self._shaken = True

    def is_sound(self) -> bool:
        """Return whether the producer may begin a transaction."""
        self.producer.poll(0)
        return not self._shaken

    def renew(self, until_done: Callable[..., None]) -> None:
        """Make a producer and settle the slot's last transaction."""
        until_done(self._settle)
        self._shaken = False

    def _settle(self) -> None:
        """Try with a new producer each time: one whose call timed out might never succeed."""
        self.producer = self._made()
        self.producer.init_transactions(CALL_TIMEOUT_S)


class Pipe:
    """Reader and transactional writer of one slot."""

    def __init__(
        self, settings: RouterSettings, stop: threading.Event, health: kafka.Health
    ) -> None:
        self._stop = stop
        self._health = health
        self._call_begun: float | None = None
        self._subscription = kafka.Subscription.of(
            settings,
            group=GROUP,
            topics=SOURCES,
            linger_ms=settings.batch_linger_ms,
            batch_rows_max=settings.batch_rows_max,
        )
        self._membership = Membership(settings.kafka_bootstrap, settings.rejoin_s_max)
        self._patience = Membership(settings.kafka_bootstrap, settings.rejoin_s_max)
        self._left: set[kafka.Place] = set()
        self._writer = Writer(settings)

    def call_begun(self) -> float | None:
        """Return when the current call to the client began, or None; safe from any thread."""
        return self._call_begun

    def run(self) -> None:
        """Route until stopped. A fatal error, for example a fenced producer, ends the process."""
        try:
            # Settle the slot's unfinished transaction before reading its offsets.
            self._writer.renew(self._until_done)
        except Stopped:
            return
        reader = kafka.consumer_settings(self._subscription, self._health)
        consumer = Consumer(reader | {"error_cb": self._broken}, logger=kafka.client_logger())
        try:
            consumer.subscribe(
                list(SOURCES),
                on_assign=self._assigned,
                on_revoke=self._revoked,
                on_lost=self._lost,
            )
            while not self._stop.is_set():
                self._batch(consumer)
        except Stopped:
            log.info("router.stopped_in_transaction")
        finally:
            consumer.close()

    def _broken(self, error: KafkaError) -> None:
        self._health.note(error)
        self._writer.distrust()

    def _assigned(self, _: Consumer, places: list[Any]) -> None:
        self._writer.distrust()
        self._membership.turn(True)
        log.info("kafka.assigned", partitions=[f"{p.topic}/{p.partition}" for p in places])

    def _revoked(self, _: Consumer, places: list[Any]) -> None:
        self._left.update((place.topic, place.partition) for place in places)

    def _lost(self, consumer: Consumer, places: list[Any]) -> None:
        self._revoked(consumer, places)
        self._writer.distrust()
        self._membership.turn(False)
        self._health.turn(False, error="left the group", partitions=len(places))

    def _batch(self, consumer: Consumer) -> None:
        rows_max = self._subscription.batch_rows_max
        with self._call():
            messages = kafka.take(consumer, rows_max, self._left)
        if not self._writer.is_sound():
            # Also without records: a broken transaction, for example after a restart of the broker,
            # holds back the offsets, and with them the records.
            self._writer.renew(self._until_done)
            log.info("router.producer_renewed")
        records = kafka.usable(messages, self._health)
        if not records:
            self._membership.look()
            return
        try:
            self._transact(consumer, self._writer.producer, records)
        except KafkaException as error:
            self._give_up(consumer, records, error)
        else:
            self._health.turn(True)
            self._health.applied += len(records)

    def _transact(
        self, consumer: Consumer, producer: Producer, records: Sequence[kafka.Record]
    ) -> None:
        producer.begin_transaction()
        for record in records:
            for out in fan_out(record):
                self._write(producer, out)
        self._until_done(
            producer.send_offsets_to_transaction,
            kafka.next_offsets(records),
            consumer.consumer_group_metadata(),
            CALL_TIMEOUT_S,
        )
        self._until_done(producer.commit_transaction, CALL_TIMEOUT_S)

    def _write(self, producer: Producer, out: Outgoing) -> None:
        if out.topic.endswith(DEAD_LETTER_SUFFIX):
            self._health.parked += 1
            log.error("router.parked", topic=out.topic, reason=out.dead_letter_reason)
        while True:
            try:
                producer.produce(out.topic, value=out.value, key=out.key, headers=out.headers)
            except BufferError:
                producer.poll(BACKOFF_S)
            else:
                return

    def _give_up(
        self, consumer: Consumer, records: Sequence[kafka.Record], error: KafkaException
    ) -> None:
        if error.args[0].fatal():
            raise error
        self._health.turn(False, error=error.args[0].name())
        log.warning("router.transaction_aborted", error=str(error), records=len(records))
        self._until_done(self._writer.producer.abort_transaction, CALL_TIMEOUT_S)
        kafka.rewind(consumer, records)
        self._stop.wait(BACKOFF_S)

    def _until_done(self, call: Callable[..., Any], *args: Any) -> None:
        """Retry a call until it succeeds; raise an error that a retry cannot fix.

        If the retries keep failing although the brokers answer, the process ends.
        """
        self._patience.turn(False)
        while True:
            try:
                with self._call():
                    call(*args)
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise
                self._health.turn(False, error=error.args[0].name())
                if self._stop.wait(BACKOFF_S):
                    raise Stopped from error
                self._patience.look()
            else:
                return

    @contextmanager
    def _call(self) -> Generator[None]:
        """Note when the call to the client began, for the watchdog."""
        self._call_begun = time.monotonic()
        try:
            yield
        finally:
            self._call_begun = None
