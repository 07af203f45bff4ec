"""The running bank, judged after each test, and the books of its logins."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.chaos.logins.books import Books, books_of
from tests.rigs.judged_bank import bank, unjudged
from tests.rigs.running_bank import Bank

__all__ = ["bank", "books", "unjudged"]


@pytest_asyncio.fixture
async def books(bank: Bank) -> AsyncIterator[Books]:
    """The stores of auth."""
    async with books_of(bank) as opened:
        yield opened
