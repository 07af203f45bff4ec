"""The store of payments and a bank of accounts, shared by the tests of a module."""

from collections.abc import AsyncGenerator
from pathlib import Path

import aiohttp
import pytest_asyncio

from services.payments.partners.ach import AchClient
from services.payments.store import Store
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore


@pytest_asyncio.fixture(scope="module")
async def store(postgres: PostgresStore) -> AsyncGenerator[Store]:
    pool = await postgres.pool("bp_payments")
    yield Store(pool)
    await pool.close()


@pytest_asyncio.fixture(scope="module")
async def bank(postgres: PostgresStore) -> AsyncGenerator[LedgerBank]:
    bank = LedgerBank(postgres)
    yield bank
    await bank.close()


@pytest_asyncio.fixture
async def unreachable(tmp_path: Path) -> AsyncGenerator[AchClient]:
    """A client of the clearing house; nothing listens on its socket."""
    connector = aiohttp.UnixConnector(path=str(tmp_path / "house"))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield AchClient(session, session, "key")
