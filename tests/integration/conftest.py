"""Session fixtures for integration tests: each store is started once, when first requested."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.rigs.stores import (
    KafkaStore,
    OpenBaoStore,
    PostgresStore,
    ValkeyStore,
    kafka_store,
    openbao_store,
    postgres_store,
    valkey_store,
)


@pytest_asyncio.fixture(scope="session")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[PostgresStore]:
    """A PostgreSQL with the bank's databases."""
    async with postgres_store(tmp_path_factory.mktemp("pg")) as store:
        yield store


@pytest_asyncio.fixture(scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[KafkaStore]:
    """A Kafka with the bank's topics."""
    async with kafka_store(tmp_path_factory.mktemp("kafka")) as store:
        yield store


@pytest_asyncio.fixture(scope="session")
async def openbao(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[OpenBaoStore]:
    """An OpenBao with the bank's keys and policies."""
    async with openbao_store(tmp_path_factory.mktemp("openbao")) as store:
        yield store


@pytest_asyncio.fixture(scope="session")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[ValkeyStore]:
    """A Valkey with the bank's users."""
    async with valkey_store(tmp_path_factory.mktemp("valkey")) as store:
        yield store
