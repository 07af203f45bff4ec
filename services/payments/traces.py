"""Compares new trace numbers with those of other recent transfers.

Nothing is posted: a notice with only an ambiguous number waits for an operator. Numbers are not
compared when a transfer is accepted, so that no caller waits for the comparison.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import asyncpg
import structlog

from services.chassis.postgres import Queries
from services.kernel.clock import utc_now

UNIQUE_FOR = timedelta(days=75)
"""How long a trace number names one transfer: until its last possible return, 60 days after
settlement, and some days for the notice. Later the clearing house may use the number again."""

EVERY_S = 5.0
"""How often a worker compares new trace numbers."""

ROWS_MAX = 1000
"""The largest number of trace numbers in one statement."""

WAITING_MAX = 100_000
"""The largest number of trace numbers that wait during an outage; the oldest are dropped."""

MARK_BEHIND = timedelta(minutes=1)
"""How far the mark lags behind the last comparison: longer than saving a step takes."""

SINCE_MARK_MAX = timedelta(hours=1)
"""The range of time after the mark that is compared at startup. The mark moves every few seconds,
so a process that was killed cannot have got a number after this range."""

log = structlog.get_logger()


class Learned(NamedTuple):
    """A transfer's trace number, and when the bank got it."""

    transfer_id: uuid.UUID
    trace_number: str | None
    learn_time: datetime


@dataclass(frozen=True, slots=True)
class Waits:
    """How long after a step the bank queries the transfer. The time of the query is indexed, and
    shows the time of the step."""

    settlement: timedelta
    completion: timedelta


class TraceStore:
    """The trace numbers in the schema `payments` of the Write DB."""

    def __init__(self, pool: asyncpg.Pool, sql: Queries) -> None:
        self._pool = pool
        self._sql = sql

    async def taken(self, learned: Sequence[Learned], since: datetime) -> list[uuid.UUID]:
        """Return transfers that share their trace number with another one since a given time."""
        ids = [one.transfer_id for one in learned]
        traces = [one.trace_number for one in learned]
        rows: list[Any] = await self._pool.fetch(self._sql.taken_traces, ids, traces, since)
        return [row["transfer_id"] for row in rows]

    async def learned(self, after: datetime, until: datetime, waits: Waits) -> list[Learned]:
        """Return transfers that got their trace number after a given time, oldest first."""
        rows = await self._pool.fetch(
            self._sql.learned_traces, after, until, waits.settlement, waits.completion, ROWS_MAX
        )
        return [Learned(**row) for row in rows]

    async def mark(self, slot: str) -> datetime | None:
        """Return the time up to which a slot's numbers are compared; None for a new slot."""
        return await self._pool.fetchval(self._sql.traces_mark, slot)

    async def move_mark(self, slot: str, through: datetime) -> None:
        """Set the time up to which a slot's numbers are compared."""
        await self._pool.execute(self._sql.move_traces_mark, slot, through)


class TraceChecks:
    """The comparisons of one worker process."""

    def __init__(self, store: TraceStore, slot: str, waits: Waits) -> None:
        self._store = store
        self._slot = slot
        self._waits = waits
        self._new: deque[Learned] = deque(maxlen=WAITING_MAX)
        self._caught_up = False
        """Whether the numbers of an earlier process of this slot are compared."""
        self._turn = asyncio.Lock()

    def note(self, transfer_id: uuid.UUID, trace_number: str, learn_time: datetime) -> None:
        """Add a new trace number for the next comparison."""
        self._new.append(Learned(transfer_id, trace_number, learn_time))

    async def compare(self) -> None:
        """Log each transfer that shares its new trace number with another recent transfer.

        After a start, the last numbers that an earlier process of this slot may have got are
        compared again.
        """
        async with self._turn:
            now = utc_now()
            if not self._caught_up:
                await self._catch_up(now)
                self._caught_up = True
            while self._new:
                some = [*islice(self._new, ROWS_MAX)]
                await self._report(some)
                for _ in some:
                    self._new.popleft()
            await self._store.move_mark(self._slot, now - MARK_BEHIND)

    async def _catch_up(self, now: datetime) -> None:
        after = await self._store.mark(self._slot)
        until = now if after is None else min(now, after + SINCE_MARK_MAX)
        while after is not None:
            some = await self._store.learned(after, until, self._waits)
            await self._report(some)
            after = some[-1].learn_time if len(some) == ROWS_MAX else None

    async def _report(self, learned: Sequence[Learned]) -> None:
        for transfer_id in await self._store.taken(learned, utc_now() - UNIQUE_FOR):
            log.error("saga.trace_number_taken", transfer_id=str(transfer_id))
