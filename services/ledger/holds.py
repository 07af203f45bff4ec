"""Finds the accounts and keys that orders need and that another session holds.

A busy account is not a held account. The holder of a busy account changes, because each batch of
orders holds it only until its commit; a held account keeps the same holder.
"""

import asyncio
import time
from collections.abc import Collection, Hashable, Iterable
from typing import NamedTuple
from uuid import UUID

import asyncpg

from services.chassis.postgres import load_queries
from services.ledger.api import QUERIES_FILE

REMEMBERED_S = 1.0
"""How long a held row is kept out of batches. Each batch with such a row waits a quarter of a
second for it."""

LASTING_S = 0.02
"""How long a locked account must have the same holder to count as held."""


class Key(NamedTuple):
    """An idempotency key of a customer."""

    customer_id: UUID
    idempotency_key: str


class Locks(NamedTuple):
    """The rows that an order locks."""

    accounts: tuple[UUID, ...]
    key: Key


class Holds:
    """The rows that were recently found to be held."""

    def __init__(self, pool: asyncpg.Pool, held_keys_sql: str) -> None:
        """`held_keys_sql` calls payments.held_keys with the arrays $1 and $2."""
        self._pool = pool
        self._holders_sql = load_queries(QUERIES_FILE).holders_of_accounts
        self._held_keys_sql = held_keys_sql
        self._holders: dict[UUID, int] = {}
        self._until_s: dict[Hashable, float] = {}

    def remembers(self, locks: Locks) -> bool:
        """Return whether one of the rows was held recently."""
        now_s = time.monotonic()
        return any(self._until_s.get(row, 0.0) > now_s for row in (*locks.accounts, locks.key))

    async def accounts_among(self, account_ids: Collection[UUID]) -> frozenset[UUID]:
        """Return the accounts that another session holds, and remember them for a short time."""
        held = await self._holders_among(account_ids)
        unsure = [one for one, holder in held.items() if self._holders.get(one) != holder]
        if unsure:
            await asyncio.sleep(LASTING_S)
            later = await self._holders_among(unsure)
            for busy in [one for one in unsure if later.get(one) != held[one]]:
                del held[busy]
        self._holders = held
        self._remember(account_ids, held)
        return frozenset(held)

    async def _holders_among(self, account_ids: Collection[UUID]) -> dict[UUID, int]:
        rows = await self._pool.fetch(self._holders_sql, [*account_ids])
        return {row["account_id"]: row["holder"] for row in rows}

    async def keys_among(self, keys: Collection[Key]) -> frozenset[Key]:
        """Return the keys that another session is taking or freeing, and remember them."""
        if not keys:
            return frozenset()
        wanted = [*keys]
        numbers: list[int] = await self._pool.fetchval(
            self._held_keys_sql,
            [key.customer_id for key in wanted],
            [key.idempotency_key for key in wanted],
        )
        held = frozenset(wanted[number - 1] for number in numbers)
        self._remember(wanted, held)
        return held

    def _remember(self, rows: Iterable[Hashable], held: Collection[Hashable]) -> None:
        """Remember which of these rows are held; forget the others and the expired ones."""
        now_s = time.monotonic()
        found_free = {row for row in rows if row not in held}
        lasting = {
            row: until_s
            for row, until_s in self._until_s.items()
            if until_s > now_s and row not in found_free
        }
        self._until_s = lasting | dict.fromkeys(held, now_s + REMEMBERED_S)
