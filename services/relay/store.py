"""The queue of the active relay, over the connection that also holds its leadership.

A relay that loses this connection also loses leadership and can no longer mark events. So two
relays never mark events at the same time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from services.chassis.kafka import Receipt
from services.chassis.postgres import load_queries

QUERIES_FILE = Path(__file__).parent / "sql" / "queries.sql"


class OutboxQueue:
    """Waiting events, oldest first."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._queries = load_queries(QUERIES_FILE)

    async def try_lead(self) -> bool:
        """Become the active relay until the connection ends; False if another relay is active."""
        return bool(await self._connection.fetchval(self._queries.try_lead))

    async def next_batch(self, rows_max: int, except_topics: Sequence[str]) -> list[Any]:
        """Return the oldest events, without those of `except_topics`."""
        return await self._connection.fetch(self._queries.next_batch, rows_max, list(except_topics))

    async def mark_published(self, receipts: Sequence[tuple[int, Receipt]]) -> None:
        """Move events, by id, from the queue to the table of published events."""
        await self._connection.execute(
            self._queries.mark_published,
            [row_id for row_id, _ in receipts],
            [receipt.partition for _, receipt in receipts],
            [receipt.offset for _, receipt in receipts],
        )

    async def park(self, row_id: int, reason: str) -> None:
        """Move an event that can never be published to the table of parked events."""
        await self._connection.execute(self._queries.park, row_id, reason)
