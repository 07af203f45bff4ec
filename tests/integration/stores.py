"""A session's PostgreSQL and Kafka with all migrations applied, and customers to test with.

Each test opens customers of its own, so no test sees another's and nothing is cleaned up.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import asyncpg
import pytest

from sandbox.stack.home import REPO, Home
from sandbox.stack.seed import Seed, load_or_make
from services.chassis.postgres import Database, connect
from services.kernel.ids import new_id, shard_of


@dataclass(frozen=True)
class Holder:
    """A customer with one account."""

    customer_id: uuid.UUID
    account_id: uuid.UUID


@dataclass
class Stores:
    """The session's stores."""

    home: Home
    addresses: dict[str, str]
    seed: Seed = field(repr=False)
    superusers: dict[str, asyncpg.Connection] = field(default_factory=dict, repr=False)

    @property
    def kafka_bootstrap(self) -> str:
        """Kafka's address."""
        return self.addresses["BP_KAFKA_BOOTSTRAP"]

    def _login(self, role: str, password: str, database: str) -> Database:
        host, port = self.addresses["BP_POSTGRES_HOST"], int(self.addresses["BP_POSTGRES_PORT"])
        return Database(host, port, database, role, password)

    def database(self, service: str, database: str) -> Database:
        """The database as a service logs in to it."""
        role = f"bp_{service}"
        return self._login(role, self.seed.role_password(role), database)

    async def superuser(self, database: str) -> asyncpg.Connection:
        """The superuser's connection to a database, one for the session."""
        if database not in self.superusers:
            login = self._login("postgres", self.seed.postgres_superuser, database)
            self.superusers[database] = await connect(login, "tests")
        return self.superusers[database]

    async def open_holder(self, cents: int = 0, state: str = "ACTIVE") -> Holder:
        """A new customer with one account that holds `cents`, known to ledger and customers."""
        customer_id = new_id()
        customers = await self.superuser("bp_customers")
        await customers.execute(
            "INSERT INTO customers.customer (customer_id, user_name, display_name, email, locale)"
            " VALUES ($1, $2, 'Test Person', 'person@example.com', 'es')",
            customer_id,
            f"u{customer_id.hex}",
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

    async def held(self, account_id: uuid.UUID) -> tuple[int, int]:
        """What the ledger says: balance and position."""
        write = await self.superuser("bp_write")
        row = await write.fetchrow("SELECT balance, position FROM ledger.balance($1)", account_id)
        assert row is not None
        return row["balance"], row["position"]

    async def projected(self, account_id: uuid.UUID) -> tuple[int, int]:
        """What customers says: balance and position; (0, 0) when it knows nothing."""
        customers = await self.superuser("bp_customers")
        row = await customers.fetchrow(
            "SELECT balance, position FROM customers.balance WHERE account_id = $1", account_id
        )
        return (row["balance"], row["position"]) if row else (0, 0)


def _stack(home: Home, *arguments: str) -> None:
    environment = {**os.environ, "BP_HOME": str(home.root), "PYTHONPATH": f"{REPO}:{REPO}/gen"}
    command = [sys.executable, "-m", "sandbox.stack", *arguments]
    subprocess.run(command, cwd=REPO, env=environment, check=True, timeout=240)


@pytest.fixture(scope="session")
def stores() -> Iterator[Stores]:
    """PostgreSQL with every schema and Kafka with every topic."""
    home = Home(REPO / ".bp-test")
    _stack(home, "up", "migrations", "topics")
    try:
        yield Stores(home, json.loads(home.endpoints.read_text()), load_or_make(home.secrets))
    finally:
        _stack(home, "down")
