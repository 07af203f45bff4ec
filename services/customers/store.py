"""Customers, accounts and balances in PostgreSQL: each method runs one statement of
sql/queries.sql."""

import uuid
from collections.abc import Collection
from pathlib import Path

import asyncpg

from services.chassis.postgres import load_queries
from services.customers.state import (
    Account,
    AccountHolder,
    AccountState,
    AccountType,
    Balance,
    Customer,
    Holding,
    OwnAccount,
)
from services.kernel.money import Money

_FIRST = uuid.UUID(int=0)


class Store:
    """The database bp_customers."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._sql = load_queries(Path(__file__).with_name("sql") / "queries.sql")

    async def customer(self, customer_id: uuid.UUID) -> Customer | None:
        """Return a customer, or None."""
        row = await self._pool.fetchrow(self._sql.customer, customer_id)
        return None if row is None else _customer(row)

    async def locales(self, customer_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
        """Return the languages of the customers that exist, by id."""
        found = await self._pool.fetch(self._sql.locales, list(customer_ids))
        return {row["customer_id"]: row["locale"] for row in found}

    async def accounts(
        self, customer_id: uuid.UUID, *, cursor: uuid.UUID | None, rows: int
    ) -> list[OwnAccount]:
        """Return up to `rows` accounts of a customer, opened after `cursor`, oldest first."""
        found = await self._pool.fetch(self._sql.accounts, customer_id, cursor or _FIRST, rows)
        return [
            OwnAccount(Holding(_account(row), _balance(row)), row["account_number"])
            for row in found
        ]

    async def balance(self, customer_id: uuid.UUID, account_id: uuid.UUID) -> Balance | None:
        """Return the balance of an account, or None when it is not this customer's."""
        row = await self._pool.fetchrow(self._sql.balance, account_id, customer_id)
        return None if row is None else _balance(row)

    async def holdings(self, account_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Holding]:
        """Return accounts of any customers with their balances, by id."""
        found = await self._pool.fetch(self._sql.holdings, list(account_ids))
        return {row["account_id"]: Holding(_account(row), _balance(row)) for row in found}

    async def holders(self, account_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, AccountHolder]:
        """Return the holders of the accounts that exist, by account."""
        found = await self._pool.fetch(self._sql.holders, list(account_ids))
        return {
            row["account_id"]: AccountHolder(row["name"], row["account_number_ending"])
            for row in found
        }

    async def positions(self, account_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """Return the positions of the accounts that have a balance."""
        found = await self._pool.fetch(self._sql.positions, list(account_ids))
        return {row["account_id"]: row["position"] for row in found}

    async def apply(self, balances: Collection[Balance]) -> None:
        """Apply balances, at most one for each account; one of a lower position changes nothing."""
        await self._pool.execute(
            self._sql.apply_positions,
            [balance.account_id for balance in balances],
            [balance.held.currency for balance in balances],
            [balance.held.minor_units for balance in balances],
            [balance.position for balance in balances],
        )


def _customer(row: asyncpg.Record) -> Customer:
    return Customer(
        customer_id=row["customer_id"],
        user_name=row["user_name"],
        display_name=row["display_name"],
        email=row["email"],
        locale=row["locale"],
        create_time=row["create_time"],
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
