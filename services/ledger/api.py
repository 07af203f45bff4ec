"""The asyncpg API of the ledger: one method for each SQL function, refusals as exceptions.

It is for postings that are not part of another change. A posting that belongs to a change of state
is part of the SQL function of that change, in the same transaction. The service wraps its call of
that function in `refusals()`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.chassis.postgres import load_queries
from services.kernel.money import Money
from services.ledger.refusals import LedgerRefusal, refusal_of_verdict, refusals

QUERIES_FILE = Path(__file__).parent / "sql" / "queries.sql"


class Side(StrEnum):
    """The direction of a leg: a DEBIT takes money from its account, a CREDIT adds money to it."""

    DEBIT = "DEBIT"
    CREDIT = "CREDIT"


@dataclass(frozen=True, slots=True)
class Leg:
    """One line of a posting; `account` is a customer's account id or an internal code."""

    side: Side
    account: UUID | str
    money: Money

    def to_row(self) -> tuple[str, UUID | None, str | None, str, int]:
        """Return the leg as the composite type ledger.leg."""
        customer = self.account if isinstance(self.account, UUID) else None
        internal = self.account if isinstance(self.account, str) else None
        return (self.side.value, customer, internal, self.money.currency, self.money.minor_units)


@dataclass(frozen=True, slots=True)
class Posted:
    """A customer's account after a posting; `position` is the number of its entries."""

    account_id: UUID
    balance: Money
    position: int


@dataclass(frozen=True, slots=True)
class Posting:
    """One transaction of a batch: the arguments of `Ledger.post`."""

    transaction_id: UUID
    kind: str
    reference: UUID
    legs: Sequence[Leg]

    def to_row(self) -> tuple[UUID, str, UUID, list[tuple[Any, ...]]]:
        """Return the posting as the composite type ledger.posting."""
        legs: list[tuple[Any, ...]] = [leg.to_row() for leg in self.legs]
        return (self.transaction_id, self.kind, self.reference, legs)


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One entry of an account; `amount` is signed, above zero for money received."""

    transaction_id: UUID
    kind: str
    reference: UUID
    amount: Money
    balance_after: Money
    position: int
    post_time: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """One error in the books; fields that do not apply are None."""

    problem: str
    shard: int | None
    account_id: UUID | None
    transaction_id: UUID | None
    code: str | None
    currency: str | None
    expected: Decimal | None
    actual: Decimal | None


class Ledger:
    """The books, through a pool of connections to the Write DB."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._queries = load_queries(QUERIES_FILE)

    async def open_account(self, account_id: UUID, currency: str) -> Posted:
        """Open an account, or return it if it is open; raises CurrencyMismatch."""
        with refusals():
            row = await self._pool.fetchrow(self._queries.open_account, account_id, currency)
        return _posted(row)

    async def balance(self, account_id: UUID) -> Posted | None:
        """Return an account's balance, or None if it is not open."""
        row = await self._pool.fetchrow(self._queries.balance, account_id)
        return None if row is None else _posted(row)

    async def internal_balance(self, code: str, currency: str) -> Money:
        """Return the balance of an internal account over all shards."""
        total: Decimal = await self._pool.fetchval(self._queries.internal_balance, code, currency)
        return Money(int(total), currency)

    async def post(
        self, transaction_id: UUID, kind: str, reference: UUID, legs: Sequence[Leg]
    ) -> tuple[Posted, ...]:
        """Post a balanced transaction; raises the classes of `services.ledger.refusals`."""
        rows = [leg.to_row() for leg in legs]
        with refusals():
            found = await self._pool.fetch(
                self._queries.post, transaction_id, kind, reference, rows
            )
        return tuple(_posted(row) for row in found)

    async def post_group(
        self, postings: Sequence[Posting]
    ) -> tuple[tuple[Posted, ...] | LedgerRefusal, ...]:
        """Post each posting separately; return for each what `post` would return or raise."""
        with refusals():
            found = await self._pool.fetch(
                self._queries.post_group, [posting.to_row() for posting in postings]
            )
        return tuple(_verdict(row) for row in found)

    async def statement(
        self, account_id: UUID, cursor: int | None = None, rows: int = 50
    ) -> tuple[StatementLine, ...]:
        """Return a page of entries, newest first; its last position is the next page's cursor."""
        found = await self._pool.fetch(self._queries.statement, account_id, cursor, rows)
        return tuple(_statement_line(row) for row in found)

    async def check(self) -> tuple[Difference, ...]:
        """Return every error in the books. Reads all tables; for bp_judge."""
        return tuple(Difference(**row) for row in await self._pool.fetch(self._queries.check_books))

    async def seed_accounts(
        self, account_ids: Sequence[UUID], minor_units: Sequence[int], currency: str
    ) -> int:
        """Open accounts with opening balances, once; for the superuser. Returns their number."""
        with refusals():
            return await self._pool.fetchval(
                self._queries.seed_accounts, list(account_ids), list(minor_units), currency
            )


def _posted(row: Any) -> Posted:
    return Posted(row["account_id"], Money(row["balance"], row["currency"]), row["position"])


def _verdict(row: Any) -> tuple[Posted, ...] | LedgerRefusal:
    if row["refusal"] is not None:
        return refusal_of_verdict(row["refusal"])
    return tuple(_posted(position) for position in row["positions"])


def _statement_line(row: Any) -> StatementLine:
    currency = row["currency"]
    return StatementLine(
        transaction_id=row["transaction_id"],
        kind=row["kind"],
        reference=row["reference"],
        amount=Money(row["amount"], currency),
        balance_after=Money(row["balance_after"], currency),
        position=row["position"],
        post_time=row["post_time"],
    )
