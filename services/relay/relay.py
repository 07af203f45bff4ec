"""The relay's loop: read the oldest events, send them, wait for acknowledgements, mark them.

A crash between any two lines is safe. Only acknowledged events are marked, so an unmarked event is
sent again. If Kafka already has it, it is a duplicate with the same id, in the same order.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import structlog

from services.chassis.kafka import AckedProducer, OutgoingMessage, Receipt, Refusal
from services.chassis.unreachable import UNREACHABLE
from services.relay import events_out
from services.relay.metrics import Metrics
from services.relay.settings import RelaySettings
from services.relay.store import OutboxQueue

log = structlog.get_logger()


class Relay:
    """The relay of one process: a standby until it becomes the leader, the only one that sends."""

    def __init__(
        self,
        settings: RelaySettings,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        producer: AckedProducer,
        metrics: Metrics,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`pause` waits this many seconds between two reads of an empty queue."""
        self._settings = settings
        self._connect = connect
        self._producer = producer
        self._metrics = metrics
        self._wait = pause
        self._paused_topics: dict[str, float] = {}

    async def run(self) -> None:
        """Relay until cancelled; reconnect after an outage of PostgreSQL or Kafka."""
        while True:
            try:
                await self._with_one_connection()
            except UNREACHABLE as error:
                log.warning("relay.database_lost", error=type(error).__name__, detail=str(error))
            self._metrics.leading.set(0)
            await asyncio.sleep(self._settings.relay_retry_ms / 1000)

    async def _with_one_connection(self) -> None:
        connection = await self._connect()
        try:
            queue = OutboxQueue(connection)
            # PostgreSQL does not report that the session of the leader has ended.
            while not await queue.try_lead():  # noqa: ASYNC110
                await asyncio.sleep(self._settings.relay_lead_poll_ms / 1000)
            self._metrics.leading.set(1)
            log.info("relay.leading")
            await self._drain_for_ever(queue)
        finally:
            # Terminate, not close: the server may be down, and leadership ends with the socket.
            connection.terminate()

    async def _drain_for_ever(self, queue: OutboxQueue) -> None:
        empty_since = time.monotonic()
        while True:
            if await self.relay_batch(queue):
                empty_since = time.monotonic()
                await asyncio.sleep(self._settings.relay_gather_ms / 1000)
                continue
            empty_ms = (time.monotonic() - empty_since) * 1000
            asleep = empty_ms >= self._settings.relay_asleep_after_ms
            pause_ms = (
                self._settings.relay_poll_asleep_ms if asleep else self._settings.relay_poll_ms
            )
            await self._wait(pause_ms / 1000)

    async def relay_batch(self, queue: OutboxQueue) -> bool:
        """Relay the oldest events of the queue; return False if none was published or parked."""
        rows = await queue.next_batch(self._settings.relay_batch_rows_max, self._paused())
        if not rows:
            return False
        sent, messages = await self._mapped(queue, rows)
        answers = await self._producer.send_all(messages)
        receipts = [
            (row["id"], answer)
            for row, answer in zip(sent, answers, strict=True)
            if isinstance(answer, Receipt)
        ]
        if receipts:
            await queue.mark_published(receipts)
        moved = await self._refused(queue, sent, answers)
        self._count(sent, answers)
        return bool(receipts) or moved or len(sent) < len(rows)

    async def _mapped(
        self, queue: OutboxQueue, rows: Sequence[Any]
    ) -> tuple[list[Any], list[OutgoingMessage]]:
        """Map rows to messages; park a row that cannot be mapped."""
        sent: list[Any] = []
        messages: list[OutgoingMessage] = []
        for row in rows:
            try:
                messages.append(events_out.to_message(row))
            except (ValueError, TypeError, KeyError) as error:
                # Without the error's text, which may quote the event.
                await self._park(queue, row, type(error).__name__)
            else:
                sent.append(row)
        return sent, messages

    async def _refused(
        self, queue: OutboxQueue, sent: Sequence[Any], answers: Sequence[Receipt | Refusal]
    ) -> bool:
        """Park permanently refused events and pause unknown topics; True if an event was parked."""
        parked = False
        for row, answer in zip(sent, answers, strict=True):
            if isinstance(answer, Receipt):
                continue
            if answer.for_good:
                await self._park(queue, row, answer.reason)
                parked = True
            elif answer.topic_unusable:
                self._pause(row["topic"], answer.reason)
            else:
                log.error("relay.refused", event_id=row["event_id"], reason=answer.reason)
        return parked

    async def _park(self, queue: OutboxQueue, row: Any, reason: str) -> None:
        log.error("relay.parked", event_id=row["event_id"], topic=row["topic"], reason=reason)
        await queue.park(row["id"], reason)

    def _paused(self) -> list[str]:
        now = time.monotonic()
        self._paused_topics = {t: end for t, end in self._paused_topics.items() if end > now}
        return list(self._paused_topics)

    def _pause(self, topic: str, reason: str) -> None:
        if topic not in self._paused_topics:
            log.error("relay.topic_paused", topic=topic, reason=reason)
        self._paused_topics[topic] = time.monotonic() + self._settings.relay_topic_pause_s

    def _count(self, sent: Sequence[Any], answers: Sequence[Receipt | Refusal]) -> None:
        self._metrics.batches.inc()
        for row, answer in zip(sent, answers, strict=True):
            if isinstance(answer, Receipt):
                self._metrics.published.labels(row["topic"]).inc()
