"""The queue as the active relay sees it: one connection, which also holds the lead and listens.

Everything goes over that one connection: when it is lost, so is the lead, and nothing can be
marked any more by a relay that no longer has it.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from services.chassis.kafka import Receipt
from services.chassis.postgres import load_queries

QUERIES_FILE = Path(__file__).parent / "sql" / "queries.sql"
CHANNEL = "outbox"


class OutboxQueue:
    """Waiting events, oldest first."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._queries = load_queries(QUERIES_FILE)
        self._noticed = asyncio.Event()

    async def try_lead(self) -> bool:
        """Become the one active relay, until the connection ends; False if another is."""
        return bool(await self._connection.fetchval(self._queries.try_lead))

    async def listen(self) -> None:
        """Let notices of writers end a `pause`."""
        await self._connection.add_listener(CHANNEL, lambda *_: self._noticed.set())

    async def pause(self, seconds: float) -> None:
        """Wait for a notice, so long at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._noticed.wait()
        except TimeoutError:
            return
        finally:
            self._noticed.clear()

    async def next_batch(self, rows_max: int, except_topics: Sequence[str]) -> list[Any]:
        """Return the oldest events of all topics but some."""
        return await self._connection.fetch(self._queries.next_batch, rows_max, list(except_topics))

    async def mark_published(self, receipts: Sequence[tuple[int, Receipt]]) -> None:
        """Move events, by id, to the record of what was published."""
        await self._connection.execute(
            self._queries.mark_published,
            [row_id for row_id, _ in receipts],
            [receipt.partition for _, receipt in receipts],
            [receipt.offset for _, receipt in receipts],
        )

    async def park(self, row_id: int, reason: str) -> None:
        """Take an event out of the way for good."""
        await self._connection.execute(self._queries.park, row_id, reason)

    async def set_asleep(self, asleep: bool) -> None:
        """Tell writers whether a notice is needed."""
        await self._connection.execute(self._queries.set_asleep, asleep)
