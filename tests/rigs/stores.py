"""PostgreSQL, Kafka, OpenBao and Valkey alone, for tests that do not need the whole stack.

Each is the part that `make up` runs, with its configuration, in a home of the test session.
"""

import random
import secrets
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from ops.provision import accounts, databases, migrations, topics, valkey, vault
from ops.provision.credentials import Credentials, load_or_make
from ops.waiting import scaled_s
from sandbox.stack.home import Home
from sandbox.stack.parts import kafka as kafka_part
from sandbox.stack.parts import postgres_paths
from sandbox.stack.parts.openbao import OpenBao
from sandbox.stack.parts.postgres import PORT, Postgres
from sandbox.stack.parts.valkey import Valkey
from sandbox.stack.ports import is_free
from sandbox.stack.supervisor.launch import run_program
from sandbox.stack.supervisor.nodes import Node, ProcessSpec, StopPolicy
from sandbox.stack.supervisor.runner import Runner
from services.chassis import postgres as chassis_postgres
from services.chassis.postgres import Database, connect, open_pool
from services.chassis.valkey import valkey_client

PASSWORD = secrets.token_hex(16)
SMALL_QUEUE = ("-c", "max_notify_queue_pages=64")
"""Half a megabyte for notifications instead of eight gigabytes, so that a test can fill it."""
STATEMENT_S = 30.0
"""A statement may take as long as a test may: a slow host must not hit the product's limit."""


@dataclass(frozen=True)
class PostgresStore:
    """A provisioned and migrated cluster."""

    part: Postgres
    runner: Runner

    def database(self, role: str, name: str = "bp_write") -> Database:
        """The address of a database for a role, such as bp_payments or postgres."""
        return Database(self.part.host, self.part.port, name, role, PASSWORD)

    async def session(self, role: str, name: str = "bp_write") -> asyncpg.Connection:
        """A single connection that may hold locks for as long as a test waits."""
        with _scaled_limits():
            connection = await connect(self.database(role, name), f"test-{role}", _statement_ms())
        await connection.execute("SET idle_in_transaction_session_timeout = 0")
        return connection

    async def pool(self, role: str, size: int = 8, name: str = "bp_write") -> asyncpg.Pool:
        """A pool like a service's, with longer time limits."""
        with _scaled_limits():
            return await open_pool(self.database(role, name), f"test-{role}", size, _statement_ms())


@dataclass(frozen=True)
class KafkaStore:
    """A broker with the bank's topics."""

    part: kafka_part.Kafka
    runner: Runner

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return self.part.bootstrap


@dataclass(frozen=True)
class OpenBaoStore:
    """An unsealed OpenBao with the bank's policies and keys, and the accounts' tokens in files."""

    part: OpenBao
    runner: Runner
    home: Home

    def token_file(self, account: str) -> Path:
        """The service-account token of a service or of bpctl."""
        return self.home.run / account / "token"


@dataclass(frozen=True)
class ValkeyStore:
    """A Valkey with the bank's users."""

    part: Valkey
    runner: Runner
    credentials: Credentials

    def client(self, user: str) -> Redis:
        """A client like a service's, with longer timeouts; the caller closes it."""
        login = valkey.login(self.credentials, user)
        return valkey_client(self.part.socket, login, scaled_s(20))


async def all_in_file(operator: Any) -> None:
    """Wait until the file of a Valkey has all that was written before this call."""
    await operator.set("test:written", 1)
    await operator.delete("test:written")
    assert await operator.execute_command("WAITAOF", 1, 0, 0) == [1, 0]


def _statement_ms() -> int:
    return int(scaled_s(STATEMENT_S) * 1000)


@contextmanager
def _scaled_limits() -> Generator[None]:
    """Scale the limits of connections opened in the body, so that a slow host hits none of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chassis_postgres, "CONNECT_TIMEOUT_S", scaled_s(20))
        patch.setattr(chassis_postgres, "COMMAND_TIMEOUT_S", scaled_s(2 * STATEMENT_S))
        patch.setattr(chassis_postgres, "ACQUIRE_TIMEOUT_S", scaled_s(2 * STATEMENT_S))
        yield


def _free_port() -> int:
    """Return a random port, so that concurrent sessions do not choose the same."""
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
    part = Postgres(home, PORT, PASSWORD)
    spec = part.node()
    assert isinstance(spec, ProcessSpec), "tests start stores of their own"
    # Its data is not kept, so it ends without a last checkpoint.
    at_once = StopPolicy(signal=signal.SIGQUIT)
    spec = replace(spec, command=(*spec.command, *SMALL_QUEUE), stop=at_once)
    async with _running(spec, home) as runner:
        await databases.provision(part.server, lambda _role: PASSWORD)
        await migrations.migrate(part.server, home.logs, run_program)
        yield PostgresStore(part, runner)
    postgres_paths.remove_copy(home.programs)


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


@asynccontextmanager
async def valkey_store(folder: Path) -> AsyncGenerator[ValkeyStore]:
    """Run Valkey with the bank's users."""
    home = Home(folder)
    home.create()
    credentials = load_or_make(home.secrets)
    part = Valkey(home, credentials)
    async with _running(part.spec(), home) as runner:
        yield ValkeyStore(part, runner, credentials)


@asynccontextmanager
async def openbao_store(folder: Path) -> AsyncGenerator[OpenBaoStore]:
    """Run OpenBao, provisioned without any secret of the services."""
    home = Home(folder)
    home.create()
    part = OpenBao(home, _free_port(), _free_port())
    issuer = load_or_make(home.secrets).service_account_issuer_key
    async with _running(part.node(), home) as runner:
        await vault.provision(
            part.private_addr, part.root_token(), accounts.public_key_pem(issuer), {}
        )
        accounts.write_all(home.run, issuer)
        yield OpenBaoStore(part, runner, home)
