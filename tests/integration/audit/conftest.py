"""The audit service on real stores, and its database for a superuser."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from services.chassis.postgres import connect
from tests.integration.audit.rig import Audit, running_audit
from tests.rigs.stores import KafkaStore, OpenBaoStore, PostgresStore


@pytest_asyncio.fixture(scope="package")
async def audit(
    kafka: KafkaStore,
    postgres: PostgresStore,
    openbao: OpenBaoStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Audit]:
    """The audit service with the session's stores; the heads are signed once at its start."""
    async with running_audit(kafka, postgres, openbao, tmp_path_factory.mktemp("audit")) as one:
        await one.sign()
        yield one


@pytest_asyncio.fixture
async def audit_owner(postgres: PostgresStore) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to the log's database."""
    connection = await connect(postgres.database("postgres", "bp_audit"), "test")
    yield connection
    await connection.close()
