"""The books as the superuser and the judge use them: no login of a service may post directly."""

from collections.abc import AsyncGenerator

import asyncpg
import pytest_asyncio

from services.ledger.api import Ledger
from tests.integration.ledger.books import Books
from tests.rigs.stores import PostgresStore


@pytest_asyncio.fixture(scope="session")
async def writers_pool(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Pool]:
    """Connections of the superuser, one for each writer of the largest test."""
    pool = await postgres.pool("postgres", 64)
    yield pool
    await pool.close()


@pytest_asyncio.fixture(scope="session")
async def superuser_pool(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Pool]:
    """Connections of the superuser."""
    pool = await postgres.pool("postgres", 2)
    yield pool
    await pool.close()


@pytest_asyncio.fixture(scope="session")
async def judge(postgres: PostgresStore) -> AsyncGenerator[Ledger]:
    """The books in the role bp_judge, which may check them."""
    pool = await postgres.pool("bp_judge", 1)
    yield Ledger(pool)
    await pool.close()


@pytest_asyncio.fixture(scope="session")
async def books(
    writers_pool: asyncpg.Pool, superuser_pool: asyncpg.Pool, judge: Ledger
) -> AsyncGenerator[Books]:
    """The ledger and accounts for tests; after each test the books must balance."""
    books = Books(Ledger(writers_pool), Ledger(superuser_pool), judge)
    yield books
    await books.assert_right()
