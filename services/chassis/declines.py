"""Records declined orders in batches: one statement and one commit for each batch.

A repeated order has one record for each reason. The services share a limit for each customer and
hour; orders beyond it are only counted.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import asyncpg

from services.chassis.batching import Batcher, BatchLimits
from services.chassis.lone_calls import LoneCalls
from services.chassis.unreachable import UNREACHABLE
from services.kernel.errors import AccountBusy

RECORDED_PER_HOUR_MAX = 100
"""The largest number of a customer's declined orders in an hour that are recorded one by one."""

ALONE_MAX = 2
"""The largest number of orders that are recorded alone at once, each on a connection."""

HELD = asyncpg.LockNotAvailableError


class DeclineRow(Protocol):
    """The arguments of a service's `decline_group` for one order."""

    @property
    def decline_id(self) -> uuid.UUID:
        """The id of the record."""
        ...

    @property
    def customer_id(self) -> uuid.UUID:
        """The customer whose orders of an hour have one row, which the statement locks."""
        ...


Row = TypeVar("Row", bound=DeclineRow)


class DeclineRecorder(Generic[Row]):
    """Runs a service's statement `decline_group`."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        decline_group: str,
        limits: BatchLimits,
        per_hour_max: int = RECORDED_PER_HOUR_MAX,
    ) -> None:
        self._pool = pool
        self._decline_group = decline_group
        self._per_hour_max = per_hour_max
        self._batches: Batcher[Row, bool] = Batcher(self._record_each, limits)
        self._alone = LoneCalls(ALONE_MAX)

    async def record(self, order: Row) -> bool:
        """Record a declined order and write its event; return whether it got a separate record.

        Repetitions, and orders beyond the limit of a customer and hour, get no separate record.
        Raises AccountBusy while another session holds the row of the customer and hour.
        """
        try:
            return await self._batches.submit(order)
        except asyncpg.PostgresError as error:
            if isinstance(error, UNREACHABLE) and not isinstance(error, HELD):
                raise
        # One order of the batch cannot be recorded, so each order is retried alone.
        async with self._alone.turn(order.customer_id):
            try:
                (recorded,) = await self._record_each([order])
            except HELD as error:
                raise AccountBusy from error
        return recorded

    async def _record_each(self, orders: Sequence[Row]) -> list[bool]:
        rows: list[Any] = await self._pool.fetch(self._decline_group, orders, self._per_hour_max)
        recorded = {row["decline_id"] for row in rows if row["outcome"] == "RECORDED"}
        return [order.decline_id in recorded for order in orders]
