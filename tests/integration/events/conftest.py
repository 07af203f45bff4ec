"""Fixtures of the event path's tests."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from services.chassis.postgres import connect
from tests.integration.stores import PostgresStore


@pytest_asyncio.fixture
async def audit_owner(postgres: PostgresStore) -> AsyncIterator[asyncpg.Connection]:
    """The log's database as a superuser sees it."""
    connection = await connect(postgres.database("postgres", "bp_audit"), "test")
    yield connection
    await connection.close()
