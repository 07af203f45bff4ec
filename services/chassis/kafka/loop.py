"""The loop that consumes in batches: at least once, with the commit after the effect.

Offsets are committed every half second, not with each batch. This saves the broker a write for each
batch; after a crash the last messages are delivered again, and handlers are idempotent.
A rebalance can only happen inside `take`, so never while a batch is in flight. A failing batch is
halved until the bad message is alone. During an outage the batch is read again after a back-off.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from services.chassis.kafka.causes import BadMessage, trace_of
from services.chassis.kafka.client import (
    Health,
    Place,
    Record,
    Subscription,
    client_logger,
    consumer_settings,
    next_offsets,
    rewind,
    take,
    usable,
)
from services.chassis.kafka.dlq import DependencyDown, Parking, is_down
from services.chassis.kafka.membership import Membership, end_process

DEFECT_ATTEMPTS_MAX = 4
"""Attempts at a single record that fails because of a defect, before it is parked."""
SETTLE_S_MAX = 20.0
"""After this time a batch with bad records ends at the next parked record: its offsets are
committed and the remaining records are read again. Kafka takes the partitions from a member that
does not poll for five minutes; then the whole batch would be delivered and parked again."""
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
COMMIT_EVERY_S = 0.5
"""How long the committed offsets may stay behind the applied records."""
COMMIT_AGAIN_S = 5.0
"""Shortest wait before a failed commit is retried."""

CALL_S_MAX = 90.0
"""Longer than any call to the client takes, also a commit while the brokers are down."""
CALL_LOOKS = 9
"""The time of a call is measured in this many steps. A pause of the whole process uses up only one
step, so it does not look like a call that is stuck."""

log = structlog.get_logger()

Handler = Callable[[Sequence[Record]], Awaitable[None]]
"""Applies a batch, in order and idempotently; raises BadMessage, DependencyDown or any defect."""


class _Settled(NamedTuple):
    """How far a batch was processed."""

    rows: int
    """How many records, from the first on, were applied or parked."""
    is_down: bool
    """Whether the rest has to wait for a dependency."""


class _Loop:
    """One consumer in its own thread; decides whether a batch is applied, retried or parked."""

    def __init__(self, subscription: Subscription, handler: Handler, health: Health) -> None:
        self._subscription = subscription
        self._handler = handler
        self._health = health
        self._parking = Parking(subscription)
        self._membership = Membership(subscription.bootstrap, subscription.rejoin_s_max)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{subscription.group}")
        self._backoff_s = BACKOFF_FIRST_S
        self._applied: dict[Place, int] = {}
        self._commit_time = 0.0
        self._left: set[Place] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop`; a fatal error of the client ends the process."""
        consumer = await self._in_thread(self._open)
        try:
            while not stop.is_set():
                await self._batch(consumer)
            await self._in_thread(self._commit, consumer)
            self._applied.clear()  # so that close() does not wait again for brokers that are down
        finally:
            await self._in_thread(consumer.close)
            self._thread.shutdown(wait=False)

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        call = asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
        for _ in range(CALL_LOOKS):
            await asyncio.wait({call}, timeout=CALL_S_MAX / CALL_LOOKS)
            if call.done():
                return call.result()
        end_process("kafka.client_stuck", CALL_S_MAX)

    def _open(self) -> Consumer:
        consumer = Consumer(
            consumer_settings(self._subscription, self._health), logger=client_logger()
        )
        consumer.subscribe(
            list(self._subscription.topics),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
        )
        return consumer

    def _assigned(self, _: Consumer, places: list[TopicPartition]) -> None:
        self._membership.turn(True)
        self._health.partitions.update((p.topic, p.partition) for p in places)
        self._health.turn(True)
        log.info("kafka.assigned", partitions=_names(places))

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self._commit(consumer)
        self._forget(places)
        log.info("kafka.revoked", partitions=_names(places))

    def _lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        # The next owner starts at the committed offsets, so later records are applied again.
        self._membership.turn(False)
        self._forget(places)
        self._revoked(consumer, places)

    def _forget(self, places: list[TopicPartition]) -> None:
        lost = {(place.topic, place.partition) for place in places}
        self._left |= lost
        self._health.partitions -= lost
        for place in lost:
            self._applied.pop(place, None)

    async def _batch(self, consumer: Consumer) -> None:
        s = self._subscription
        messages = await self._in_thread(take, consumer, s.batch_rows_max, self._left)
        records = usable(messages, self._health)
        if not records:
            await self._in_thread(self._membership.look)
            return await self._commit_due(consumer)
        settled = await self._settle(records)
        if settled.rows:
            offsets = next_offsets(records[: settled.rows])
            self._applied |= {(p.topic, p.partition): p.offset for p in offsets}
            await self._commit_due(consumer)
            self._health.applied += settled.rows
        if settled.rows < len(records):
            await self._in_thread(rewind, consumer, records[settled.rows :])
        if settled.is_down:
            await asyncio.sleep(self._backoff_s)
            self._backoff_s = min(self._backoff_s * 2, BACKOFF_MAX_S)
        else:
            self._backoff_s = BACKOFF_FIRST_S
        return None

    async def _commit_due(self, consumer: Consumer) -> None:
        if self._applied and time.monotonic() >= self._commit_time + COMMIT_EVERY_S:
            await self._in_thread(self._commit, consumer)

    async def _settle(self, records: list[Record]) -> _Settled:
        """Apply or park the records in order; return how many were applied or parked.

        Failing records are halved until the bad message is alone and all records before it are
        applied. Ends early if a dependency is down, or at a parked record after SETTLE_S_MAX.
        """
        position, size, begun_s = 0, len(records), time.monotonic()
        while position < len(records):
            stretch = records[position : position + size]
            try:
                await self._apply(stretch)
            except Exception as error:  # noqa: BLE001 - the edge between the loop and any handler
                if is_down(error):
                    self._health.turn(False, error=repr(error))
                    return _Settled(position, is_down=True)
                if len(stretch) > 1:
                    size = len(stretch) // 2
                    continue
                if not await self._parked(stretch[0], error):
                    return _Settled(position, is_down=True)
                if time.monotonic() - begun_s >= SETTLE_S_MAX:
                    return _Settled(position + 1, is_down=False)
            position += len(stretch)
            size *= 2
        self._health.turn(True)
        return _Settled(position, is_down=False)

    async def _apply(self, stretch: list[Record]) -> None:
        attempts = DEFECT_ATTEMPTS_MAX if len(stretch) == 1 else 1
        for attempt in range(1, attempts + 1):
            try:
                await self._handler(stretch)
            except Exception as error:
                if attempt == attempts or isinstance(error, BadMessage) or is_down(error):
                    raise
                log.warning("kafka.retry", attempt=attempt, exception=trace_of(error))
                await asyncio.sleep(BACKOFF_FIRST_S * 2**attempt)
            else:
                return

    async def _parked(self, record: Record, error: Exception) -> bool:
        reason = error.reason if isinstance(error, BadMessage) else "DEFECT"
        where = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        try:
            await asyncio.to_thread(self._parking.park, record, reason, error)
        except (DependencyDown, KafkaException, BufferError) as failed:
            self._health.turn(False, error=repr(failed), **where)
            return False
        self._health.parked += 1
        self._commit_time = 0.0  # commit at once: a redelivery would park it twice
        log.error("kafka.parked", reason=reason, **where, exception=trace_of(error))
        return True

    def _commit(self, consumer: Consumer) -> None:
        self._commit_time = time.monotonic()
        if not self._applied:
            return
        offsets = [TopicPartition(*place, offset) for place, offset in self._applied.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # The records are applied, and a redelivery before the next commit changes nothing. Wait
            # before the retry: while brokers are down, each attempt blocks the thread.
            self._commit_time += COMMIT_AGAIN_S - COMMIT_EVERY_S
            log.warning("kafka.commit_failed", error=str(error))
        else:
            self._applied.clear()


def _names(places: Iterable[TopicPartition]) -> list[str]:
    return [f"{place.topic}/{place.partition}" for place in places]


async def consume(
    subscription: Subscription,
    handler: Handler,
    stop: asyncio.Event,
    health: Health | None = None,
) -> None:
    """Give the group's records to `handler`, batch by batch, until `stop` is set.

    Returns after the last batch and the close of the consumer. Raises only fatal errors of the
    client, after which the process must end.
    """
    await _Loop(subscription, handler, health or Health()).run(stop)
