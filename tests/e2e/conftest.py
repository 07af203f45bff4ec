"""The whole running bank, for tests that use it as its customers do."""

from collections.abc import AsyncIterator

import pytest_asyncio

from sandbox.stack.testing import RunningStack
from tests.e2e.bank import Bank


@pytest_asyncio.fixture
async def bank(stack: RunningStack) -> AsyncIterator[Bank]:
    """The bank, every partner well before and after the test, and judged when it is over."""
    running = Bank(stack)
    for partner in ("ach", "fraud", "fcm", "oauth"):
        await running.mend(partner)
    yield running
    for partner in ("ach", "fraud", "fcm", "oauth"):
        await running.mend(partner)
    verdict = await running.judged()
    await running.close()
    assert verdict["ok"], verdict["differences"]
