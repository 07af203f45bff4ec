"""The outbox in the role of the superuser: no login of a service may append an event directly.

These tests kill their stores and count every event, so they have their own stores.
"""

from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.rigs.stores import KafkaStore, PostgresStore, kafka_store, postgres_store


@pytest_asyncio.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[PostgresStore]:
    """A PostgreSQL that tests may kill."""
    async with postgres_store(tmp_path_factory.mktemp("relay-pg")) as store:
        yield store


@pytest_asyncio.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[KafkaStore]:
    """A Kafka that tests may kill."""
    async with kafka_store(tmp_path_factory.mktemp("relay-kafka")) as store:
        yield store


@pytest_asyncio.fixture(scope="session")
async def payments(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Pool]:
    """Connections of writers, as the functions of payments append events."""
    pool = await postgres.pool("postgres", 8)
    yield pool
    await pool.close()


@pytest_asyncio.fixture(scope="session")
async def superuser(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Pool]:
    """Connections of the superuser."""
    pool = await postgres.pool("postgres", 2)
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
def relay_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log file of the relay processes."""
    return tmp_path_factory.mktemp("relay") / "relay.log"
