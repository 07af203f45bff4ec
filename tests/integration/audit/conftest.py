"""The audit log's database for a superuser."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from services.chassis.postgres import connect
from tests.rigs.stores import PostgresStore


@pytest_asyncio.fixture
async def audit_owner(postgres: PostgresStore) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection to the log's database."""
    connection = await connect(postgres.database("postgres", "bp_audit"), "test")
    yield connection
    await connection.close()
