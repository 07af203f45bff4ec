"""Sends the events of auth.event to Kafka: at least once, in the order in which they were written.

A crash between any two lines is safe: only acknowledged events are marked, so an unmarked event is
sent again with the same id. One process sends at a time, the one that has the lease. A process that
slept beyond its lease may send events again, but never an event before an older one that Kafka
lacks: it took the oldest ones.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from services.auth.events_out import TOPIC
from services.chassis.kafka import AckedProducer, OutgoingMessage, Receipt, Refusal
from services.chassis.kafka.cloud_events import CloudEvent, to_message
from services.chassis.postgres import load_queries
from services.chassis.unreachable import UNREACHABLE
from services.kernel.ids import new_id

BATCH_ROWS_MAX = 200
POLL_S = 0.25
"""How often an idle process looks for events."""
RETRY_S = 1.0
LEASE_S = 10.0
RENEW_S = 3.0
"""How often the lease is renewed while Kafka has not answered."""
MONTHS_AHEAD = 3
DELETE_ROWS_MAX = 10_000

log = structlog.get_logger()


class Publisher:
    """The publisher of one process."""

    def __init__(self, pool: asyncpg.Pool, producer: AckedProducer) -> None:
        self._pool = pool
        self._producer = producer
        self._queries = load_queries(Path(__file__).parent / "sql" / "queries.sql")
        self._holder = new_id()

    async def run(self) -> None:
        """Publish until cancelled; retry after an outage of PostgreSQL.

        Raises KafkaException after a fatal error of the producer; then the process must end.
        """
        while True:
            try:
                moved = await self.publish_batch()
            except UNREACHABLE as error:
                log.warning("publisher.waiting", error=type(error).__name__)
                await asyncio.sleep(RETRY_S)
                continue
            if not moved:
                await asyncio.sleep(POLL_S)

    async def publish_batch(self) -> bool:
        """Publish the oldest events; False if none was published or parked."""
        if not await self._has_lease():
            return False
        rows = await self._pool.fetch(self._queries.waiting_events, BATCH_ROWS_MAX)
        answers = await self._sent([_message(row) for row in rows])
        acked = [
            row["event_id"]
            for row, answer in zip(rows, answers, strict=True)
            if isinstance(answer, Receipt)
        ]
        await self._pool.execute(self._queries.mark_published, acked)
        return await self._parked(rows, answers) or bool(acked)

    async def upkeep(self) -> None:
        """Make the coming months, drop old ones, delete old receipts and devices."""
        await self._pool.execute(self._queries.ensure_partitions, MONTHS_AHEAD)
        await self._pool.execute(self._queries.drop_old_months)
        while await self._pool.fetchval(self._queries.delete_old, DELETE_ROWS_MAX):
            pass

    async def _has_lease(self) -> bool:
        taken = await self._pool.fetchval(self._queries.take_lease, self._holder, LEASE_S)
        return taken is not None

    async def _sent(self, messages: list[OutgoingMessage]) -> list[Receipt | Refusal]:
        """Send messages, and renew the lease while Kafka is down."""
        sending = asyncio.create_task(self._producer.send_all(messages))
        try:
            while not (await asyncio.wait({sending}, timeout=RENEW_S))[0]:
                await self._renew()
        finally:
            if not sending.done():
                sending.cancel()
        return sending.result()

    async def _renew(self) -> None:
        try:
            await self._has_lease()
        except UNREACHABLE as error:
            # Without the lease another process may send the same events, which is allowed.
            log.warning("publisher.lease_not_renewed", error=type(error).__name__)

    async def _parked(self, rows: Sequence[Any], answers: Sequence[Receipt | Refusal]) -> bool:
        """Park events that Kafka refuses permanently; True if there was one."""
        parked = False
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, Receipt):
                continue
            log.error("publisher.refused", event_id=str(row["event_id"]), reason=answer.reason)
            if answer.for_good:
                await self._pool.execute(self._queries.park, row["event_id"], answer.reason)
                parked = True
        return parked


def _message(row: Any) -> OutgoingMessage:
    return to_message(
        CloudEvent(
            topic=TOPIC,
            key=row["key"],
            event_id=row["event_id"],
            event_type=row["event_type"],
            subject=row["subject"],
            create_time=row["create_time"],
            traceparent=row["traceparent"],
            payload=bytes(row["payload"]),
        )
    )
