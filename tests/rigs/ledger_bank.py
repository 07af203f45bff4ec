"""Customers and their accounts in ledger and customers, opened as the bank opens them.

Each test opens its own, so no test sees another's and nothing is cleaned up.
"""

import uuid
from dataclasses import dataclass, field

import asyncpg

from services.kernel.ids import new_id, shard_of
from tests.rigs.stores import PostgresStore


@dataclass(frozen=True)
class Holder:
    """A customer with one account."""

    customer_id: uuid.UUID
    account_id: uuid.UUID


@dataclass
class LedgerBank:
    """Customers and books in the session's cluster."""

    postgres: PostgresStore
    superusers: dict[str, asyncpg.Connection] = field(default_factory=dict, repr=False)

    async def superuser(self, database: str) -> asyncpg.Connection:
        """The superuser's connection to a database, one for the session."""
        if database not in self.superusers:
            self.superusers[database] = await self.postgres.session("postgres", database)
        return self.superusers[database]

    async def open_holder(
        self, cents: int = 0, state: str = "ACTIVE", name: str = "Test Person"
    ) -> Holder:
        """Open a customer with one account that holds `cents`, in ledger and customers."""
        customer_id = new_id()
        customers = await self.superuser("bp_customers")
        await customers.execute(
            "INSERT INTO customers.customer (customer_id, user_name, display_name, email, locale)"
            " VALUES ($1, $2, $3, 'person@example.com', 'es')",
            customer_id,
            f"u{customer_id.hex}",
            name,
        )
        return Holder(customer_id, await self.open_account(customer_id, cents, state))

    async def open_account(
        self, customer_id: uuid.UUID, cents: int = 0, state: str = "ACTIVE"
    ) -> uuid.UUID:
        """Another account of a customer."""
        account_id = new_id(shard_of(customer_id))
        customers = await self.superuser("bp_customers")
        await customers.execute(
            "INSERT INTO customers.account (account_id, customer_id, account_type, state)"
            " VALUES ($1, $2, 'CHECKING', $3)",
            account_id,
            customer_id,
            state,
        )
        write = await self.superuser("bp_write")
        await write.execute("SELECT ledger.seed_accounts($1, $2)", [account_id], [cents])
        return account_id

    async def number_of(self, account_id: uuid.UUID) -> str:
        """Return the number of an account."""
        customers = await self.superuser("bp_customers")
        row = await customers.fetchrow(
            "SELECT account_number FROM customers.account WHERE account_id = $1", account_id
        )
        assert row is not None
        return row["account_number"]

    async def held(self, account_id: uuid.UUID) -> tuple[int, int]:
        """Return the balance and its position in the ledger."""
        write = await self.superuser("bp_write")
        row = await write.fetchrow("SELECT balance, position FROM ledger.balance($1)", account_id)
        assert row is not None
        return row["balance"], row["position"]

    async def projected(self, account_id: uuid.UUID) -> tuple[int, int]:
        """Return the balance and its position in customers; (0, 0) when it has none."""
        customers = await self.superuser("bp_customers")
        row = await customers.fetchrow(
            "SELECT balance, position FROM customers.balance WHERE account_id = $1", account_id
        )
        return (row["balance"], row["position"]) if row else (0, 0)

    async def close(self) -> None:
        """Close the superuser's connections."""
        for connection in self.superusers.values():
            await connection.close()
