"""The clearing house's notices in PostgreSQL: each method runs one statement of sql/queries.sql."""

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime

import asyncpg

from services.chassis.postgres import Queries
from services.payments.rows import notice_of_row, notice_values
from services.payments.transfer import Notice

ROWS_MAX = 64
"""The largest number of notices that one statement reads."""

PAGES_MAX = 16
"""The largest number of statements in one run. Notices about held rows stay kept, so a run without
a limit might never return to the oldest ones. The next run begins where this one ended."""


class NoticeStore:
    """The notices in the schema `payments` of the Write DB."""

    def __init__(self, pool: asyncpg.Pool, sql: Queries) -> None:
        self._pool = pool
        self._sql = sql
        self._last_id = ""
        """The last notice that a run of `matching` yielded; "" after one that reached the end."""

    async def keep(self, notice: Notice) -> str:
        """Keep a notice and return its state: KEPT, or that of the same notice kept before.

        REUSED means that another notice has the id; then nothing was kept.
        """
        values = notice_values(notice)
        state = await self._pool.fetchval(self._sql.keep_notice, *values)
        if state is None:
            # Another session was keeping a notice with this id; only a new statement sees it.
            state = await self._pool.fetchval(self._sql.keep_notice, *values)
        return state

    async def keep_conflict(self, notice: Notice) -> None:
        """Keep a notice for a person."""
        await self._pool.execute(self._sql.keep_conflict, *notice_values(notice))

    async def close(self, notice: Notice, state: str) -> None:
        """Set the state of a notice that changed nothing."""
        await self._pool.execute(self._sql.close_notice, notice.notice_id, state)

    async def matching(self, types: Sequence[str]) -> AsyncGenerator[Notice]:
        """Yield kept notices of these types whose transfer exists, oldest first, page by page.

        A page, and the first page of a run too, begins after the last notice that was yielded. So
        notices that stay kept, or whose handling fails, do not hide younger ones. A run ends after
        the youngest notice, and the next one begins with the oldest.
        """
        for _ in range(PAGES_MAX):
            sql = self._sql.matching_notices
            rows = await self._pool.fetch(sql, ROWS_MAX, types, self._last_id)
            for row in rows:
                self._last_id = row["notice_id"]
                yield notice_of_row(row)
            if len(rows) < ROWS_MAX:
                self._last_id = ""
                return

    async def give_up(self, before: datetime, types: Sequence[str]) -> list[Notice]:
        """Set the notices that were kept before an instant to CONFLICT, and return them.

        Notices of these types are not changed if their transfer exists.
        """
        rows = await self._pool.fetch(self._sql.give_up_notices, before, types)
        return [notice_of_row(row) for row in rows]
