"""Records declined orders in batches: one statement and one commit for each batch.

A repeated order has one record for each reason. The services share a limit for each customer and
hour; orders beyond it are only counted.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import asyncpg

from services.chassis.batching import Batcher, BatchLimits
from services.chassis.unreachable import UNREACHABLE

RECORDED_PER_HOUR_MAX = 100
"""The largest number of a customer's declined orders in an hour that are recorded one by one."""


class DeclineRow(Protocol):
    """The arguments of a service's `decline_group` for one order."""

    @property
    def decline_id(self) -> uuid.UUID:
        """The id of the record."""
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

    async def record(self, order: Row) -> bool:
        """Record a declined order and write its event; return whether it got a separate record.

        Repetitions, and orders beyond the limit of a customer and hour, get no separate record.
        """
        try:
            return await self._batches.submit(order)
        except asyncpg.PostgresError as error:
            if isinstance(error, UNREACHABLE):
                raise
        # One order of the batch cannot be recorded, so each order is retried alone.
        (recorded,) = await self._record_each([order])
        return recorded

    async def _record_each(self, orders: Sequence[Row]) -> list[bool]:
        rows: list[Any] = await self._pool.fetch(self._decline_group, orders, self._per_hour_max)
        recorded = {row["decline_id"] for row in rows if row["outcome"] == "RECORDED"}
        return [order.decline_id in recorded for order in orders]
