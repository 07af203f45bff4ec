"""Session fixtures for integration tests: each store is started once, when first asked for."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio

from sandbox.waiting import scaled_s
from services.chassis import contracts
from services.chassis import postgres as chassis_postgres
from tests.integration.stores import (
    STATEMENT_S,
    KafkaStore,
    PostgresStore,
    kafka_store,
    postgres_store,
)


@pytest.fixture(scope="session", autouse=True)
def time_limits_of_this_host() -> Iterator[None]:
    """Scale the time limits of servers and sessions: what a slow host needs is no failure.

    A test of a limit sets that limit itself.
    """
    load = contracts.load

    def scaled(descriptor_set: bytes | None = None) -> dict[str, contracts.MethodContract]:
        return {
            path: replace(one, deadline_ms=int(scaled_s(one.deadline_ms)))
            for path, one in load(descriptor_set).items()
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contracts, "load", scaled)
        patch.setattr(chassis_postgres, "CONNECT_TIMEOUT_S", scaled_s(20))
        patch.setattr(chassis_postgres, "COMMAND_TIMEOUT_S", scaled_s(2 * STATEMENT_S))
        yield


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
