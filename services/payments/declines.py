"""Records of orders that a control of the bank declined.

Beyond a limit for each customer and hour, orders are only counted. One event has their number,
including book transfers of the transfers service.
"""

from datetime import timedelta

import asyncpg
import structlog

from services.chassis.batching import BatchLimits
from services.chassis.declines import RECORDED_PER_HOUR_MAX, DeclineRecorder
from services.chassis.postgres import Queries
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from services.payments import mapping
from services.payments.rows import DeclineRow, decline_row
from services.payments.transfer import Decline, EventOut, FurtherDeclines

EVERY_S = 60.0
"""How often a worker reports hours that have ended."""

REPORT_AFTER = timedelta(hours=1, minutes=10)
"""How long after its start an hour is reported; by then all its orders have been written."""

ROWS_MAX = 64

log = structlog.get_logger()


class DeclineStore:
    """The declined orders in the schema `payments` of the Write DB."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        sql: Queries,
        limits: BatchLimits,
        per_hour_max: int = RECORDED_PER_HOUR_MAX,
    ) -> None:
        self._pool = pool
        self._sql = sql
        self._recorder: DeclineRecorder[DeclineRow] = DeclineRecorder(
            pool, sql.decline_group, limits, per_hour_max
        )

    async def record(self, decline: Decline, event: EventOut) -> bool:
        """Record a declined order and write its event; return whether it got a separate record.

        Repetitions, and orders beyond the limit of a customer and hour, get no separate record.
        """
        return await self._recorder.record(decline_row(decline, event))

    async def report_further(self) -> None:
        """Write the event of each ended hour that has orders beyond the limit."""
        before = utc_now() - REPORT_AFTER
        rows = await self._pool.fetch(self._sql.unreported_declines, before, ROWS_MAX)
        for row in rows:
            declines = FurtherDeclines(**row)
            report_id = new_id()
            event = mapping.further_declines_event(declines, report_id, new_id())
            values = (declines.customer_id, declines.hour, report_id, event.event_id, event.payload)
            if await self._pool.fetchval(self._sql.report_declines, *values):
                log.warning("order.further_declined", further=declines.further)

    async def drop_old(self) -> None:
        """Drop the declined orders that are older than the bank's retention period."""
        await self._pool.execute(self._sql.drop_old_declines)
