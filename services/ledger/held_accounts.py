"""Finds accounts whose rows another session holds, so that only their orders leave a batch."""

import time
from collections.abc import Iterable
from uuid import UUID

import asyncpg

from services.chassis.postgres import load_queries
from services.ledger.api import QUERIES_FILE

REMEMBERED_S = 1.0
"""How long an account that was held stays out of batches. Each batch with such an account waits a
quarter of a second for it."""


class HeldAccounts:
    """The accounts that were found held a moment ago."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._sql = load_queries(QUERIES_FILE)
        self._until_s: dict[UUID, float] = {}

    async def among(self, account_ids: Iterable[UUID]) -> frozenset[UUID]:
        """Return the accounts that another session holds now, and remember them for a moment."""
        held: list[UUID] = await self._pool.fetchval(self._sql.held_accounts, [*account_ids])
        now_s = time.monotonic()
        lasting = {account: until for account, until in self._until_s.items() if until > now_s}
        self._until_s = lasting | dict.fromkeys(held, now_s + REMEMBERED_S)
        return frozenset(held)

    def remembered(self, account_ids: Iterable[UUID]) -> UUID | None:
        """Return the first of the accounts that was held a moment ago, or None."""
        now_s = time.monotonic()
        return next((one for one in account_ids if self._until_s.get(one, 0.0) > now_s), None)
