"""Declined orders in PostgreSQL: the records of what a control of the bank stopped."""

import asyncpg

from services.chassis.postgres import Queries
from services.payments.transfer import Decline, EventOut, order_id


class DeclineStore:
    """The declined orders in the schema `payments` of the Write DB."""

    def __init__(self, pool: asyncpg.Pool, sql: Queries) -> None:
        self._pool = pool
        self._sql = sql

    async def record(self, decline: Decline, event: EventOut) -> None:
        """Write the record of a declined order, and its event."""
        order = decline.order
        await self._pool.execute(
            self._sql.decline,
            decline.decline_id,
            order.customer_id,
            order.account_id,
            order.amount.minor_units,
            order.amount.currency,
            order.beneficiary.name,
            order.beneficiary.routing_number,
            order.beneficiary.account_number,
            decline.reason,
            order_id(order),
            order.correlation_id,
            decline.decline_time,
            event.event_id,
            event.payload,
            order.traceparent,
        )

    async def drop_old(self) -> None:
        """Drop the declined orders that are older than the bank keeps them."""
        await self._pool.execute(self._sql.drop_old_declines)
