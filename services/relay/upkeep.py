"""Periodic upkeep of the Write DB: future partitions, roll-up of the ledger, metrics.

The relay does it because it is the process that always runs there. Each step is idempotent, and
several processes may run it at the same time.
"""

import asyncio

import asyncpg
import structlog

from services.chassis.postgres import load_queries
from services.chassis.unreachable import UNREACHABLE
from services.relay.metrics import Metrics
from services.relay.store import QUERIES_FILE

PARTITIONS_EVERY = 240
"""Rounds between two checks of the partitions, which are made months ahead."""

ROLL_UP_ROWS_MAX = 50_000
"""The largest number of amounts that one statement folds."""

NOTIFICATIONS_HELD = 0.1
"""A session prevents PostgreSQL from freeing the queue of notifications if more of it is in use."""

log = structlog.get_logger()


class Upkeep:
    """Rounds of upkeep over a separate pool, so that no event waits for one."""

    def __init__(self, pool: asyncpg.Pool, metrics: Metrics, every_s: float) -> None:
        self._pool = pool
        self._metrics = metrics
        self._every_s = every_s
        self._queries = load_queries(QUERIES_FILE)

    async def run(self) -> None:
        """Run rounds of upkeep until cancelled."""
        rounds = 0
        while True:
            try:
                await self.observe()
                await self.roll_up()
                if rounds % PARTITIONS_EVERY == 0:
                    await self.ensure_partitions()
                    await self.drop_published()
                rounds += 1
            except UNREACHABLE as error:
                log.warning("upkeep.failed", error=type(error).__name__, detail=str(error))
            await asyncio.sleep(self._every_s)

    async def observe(self) -> None:
        """Update the metrics of the backlog; log old events and parked events."""
        waiting, oldest_age_s, parked = await self._pool.fetchrow(self._queries.backlog)
        self._metrics.waiting.set(waiting)
        self._metrics.oldest_age_s.set(oldest_age_s)
        self._metrics.parked.set(parked)
        if parked or oldest_age_s > self._every_s:
            log.warning("outbox.behind", waiting=waiting, age_s=oldest_age_s, parked=parked)

    async def free_notifications(self) -> None:
        """Free the cluster's queue of notifications of all that its listeners have read.

        Any login may fill this queue. Once it is full, PostgreSQL frees it only when asked.
        """
        used: float = await self._pool.fetchval(self._queries.free_notifications)
        self._metrics.notifications_used.set(used)
        if used > NOTIFICATIONS_HELD:
            log.warning("notifications.held", used=used)

    async def roll_up(self) -> None:
        """Fold internal amounts into their checkpoints until few are left."""
        folded = ROLL_UP_ROWS_MAX
        while folded >= ROLL_UP_ROWS_MAX:
            folded = await self._pool.fetchval(self._queries.roll_up, ROLL_UP_ROWS_MAX)

    async def ensure_partitions(self) -> None:
        """Create the partitions of the coming months, in the ledger and in the outbox."""
        await self._pool.fetchval(self._queries.ensure_ledger_partitions)
        await self._pool.fetchval(self._queries.ensure_outbox_partitions)

    async def drop_published(self) -> None:
        """Drop published events after their retention period."""
        await self._pool.fetchval(self._queries.drop_published)
