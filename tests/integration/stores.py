"""Stores for tests that need no whole stack: the stack's own PostgreSQL and Kafka, run directly.

Each is the part that `make up` runs, with its configuration, under a home of the test session.
"""

import random
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from sandbox.stack.home import Home
from sandbox.stack.nodes import Node, ProcessSpec
from sandbox.stack.parts import kafka as kafka_part
from sandbox.stack.parts.postgres import Postgres
from sandbox.stack.ports import is_free
from sandbox.stack.provision import databases, migrations, topics
from sandbox.stack.runner import Runner
from sandbox.waiting import scaled_s
from services.chassis.postgres import Database, open_pool

PASSWORD = secrets.token_hex(16)
STATEMENT_S = 30.0
"""A statement may wait as long as a test may: a slow host does not meet the product's limit."""


@dataclass(frozen=True)
class PostgresStore:
    """A provisioned and migrated cluster."""

    part: Postgres
    runner: Runner

    def database(self, role: str, name: str = "bp_write") -> Database:
        """The address of a database for a role, such as bp_payments or postgres."""
        return Database(self.part.host, self.part.port, name, role, PASSWORD)

    async def pool(self, role: str, size: int = 8) -> asyncpg.Pool:
        """A pool as a service opens it."""
        return await open_pool(self.database(role), f"test-{role}", size, statement_ms())


@dataclass(frozen=True)
class KafkaStore:
    """A broker with the bank's topics."""

    part: kafka_part.Kafka
    runner: Runner

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return self.part.bootstrap


def statement_ms() -> int:
    """Return the statement timeout of the tests' sessions on this host."""
    return int(scaled_s(STATEMENT_S) * 1000)


def _free_port() -> int:
    """Return a port at random, so that sessions side by side do not choose the same."""
    return next(p for p in iter(lambda: random.randrange(11_000, 20_000), None) if is_free(p))


@asynccontextmanager
async def _running(spec: Node, home: Home) -> AsyncGenerator[Runner]:
    assert isinstance(spec, ProcessSpec), "tests start stores of their own"
    runner = Runner(spec, home.logs / f"{spec.name}.log")
    await runner.start()
    try:
        if not await runner.wait_ready():
            raise RuntimeError(f"{spec.name}: {runner.reason}")
        yield runner
    finally:
        await runner.stop()


@asynccontextmanager
async def postgres_store(folder: Path) -> AsyncGenerator[PostgresStore]:
    """Run PostgreSQL with the bank's databases, roles and migrations."""
    home = Home(folder)
    home.create()
    part = Postgres(home, _free_port(), PASSWORD)
    async with _running(part.node(), home) as runner:
        await databases.provision(part, lambda _role: PASSWORD)
        await migrations.migrate(part, home.logs)
        yield PostgresStore(part, runner)


@asynccontextmanager
async def kafka_store(folder: Path) -> AsyncGenerator[KafkaStore]:
    """Run Kafka with the bank's topics."""
    home = Home(folder)
    home.create()
    libs = kafka_part.default_libs()
    kafka_part.fetch_libs(libs)
    part = kafka_part.Kafka(home, _free_port(), _free_port(), libs, 384)
    async with _running(part.node(), home) as runner:
        await topics.create(part.bootstrap)
        yield KafkaStore(part, runner)
