"""Customers, accounts and balances in PostgreSQL: one prepared statement for each question."""

import uuid
from collections.abc import Collection
from pathlib import Path

import asyncpg

from services.chassis.postgres import load_queries
from services.customers.state import (
    Account,
    AccountState,
    AccountType,
    Balance,
    Customer,
    Holding,
)
from services.kernel.money import Money

_FIRST = uuid.UUID(int=0)


class Store:
    """The service's database, bp_customers."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._sql = load_queries(Path(__file__).with_name("sql") / "queries.sql")

    async def customer(self, customer_id: uuid.UUID) -> Customer | None:
        """Return a customer by id."""
        row = await self._pool.fetchrow(self._sql.customer, customer_id)
        return None if row is None else Customer(*row)

    async def accounts(
        self, customer_id: uuid.UUID, cursor: uuid.UUID | None, rows: int
    ) -> list[Account]:
        """Return up to `rows` accounts of a customer that follow the id `cursor`."""
        found = await self._pool.fetch(self._sql.accounts, customer_id, cursor or _FIRST, rows)
        return [_account(row) for row in found]

    async def balance(self, customer_id: uuid.UUID, account_id: uuid.UUID) -> Balance | None:
        """Return the balance of an account; None when it is not this customer's."""
        row = await self._pool.fetchrow(self._sql.balance, account_id, customer_id)
        return None if row is None else _balance(row)

    async def holdings(self, account_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Holding]:
        """Return accounts with their balances, by id, whoever holds them."""
        found = await self._pool.fetch(self._sql.holdings, list(account_ids))
        return {row["account_id"]: Holding(_account(row), _balance(row)) for row in found}

    async def positions(self, account_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """Return the positions of those accounts that have any."""
        found = await self._pool.fetch(self._sql.positions, list(account_ids))
        return {row["account_id"]: row["position"] for row in found}

    async def apply(self, balances: Collection[Balance]) -> None:
        """Take in balances, at most one for each account; older ones change nothing."""
        await self._pool.execute(
            self._sql.apply_positions,
            [one.account_id for one in balances],
            [one.held.currency for one in balances],
            [one.held.minor_units for one in balances],
            [one.position for one in balances],
        )


def _account(row: asyncpg.Record) -> Account:
    return Account(
        account_id=row["account_id"],
        customer_id=row["customer_id"],
        account_type=AccountType(row["account_type"]),
        currency=row["currency"],
        state=AccountState(row["state"]),
        create_time=row["create_time"],
    )


def _balance(row: asyncpg.Record) -> Balance:
    return Balance(row["account_id"], Money(row["balance"], row["currency"]), row["position"])
