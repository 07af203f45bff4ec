"""The whole running bank, for tests that use it as its customers do."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.stack.testing import RunningStack
from tests.e2e.bank import Bank

PARTNERS = ("ach", "fraud", "fcm", "oauth")


async def require_right(bank: Bank) -> None:
    """Wait until all has arrived; no two stores may disagree about anything since the first day."""
    verdict = await bank.judged()
    assert verdict["ok"], verdict["differences"]


@pytest_asyncio.fixture(scope="module")
async def unjudged(stack: RunningStack) -> AsyncIterator[list[str]]:
    """Tests of a module in which nothing fails: the bank is judged once, when all are over."""
    names: list[str] = []
    yield names
    if names:
        running = Bank(stack)
        await require_right(running)
        await running.close()


@pytest_asyncio.fixture
async def bank(
    stack: RunningStack, unjudged: list[str], request: pytest.FixtureRequest
) -> AsyncIterator[Bank]:
    """The bank, every partner well before and after the test, and judged when it is over.

    What is marked `judged_with_its_module` is judged with the rest of its module: the judge reads
    everything from the first day, so a difference that lasts is found.
    """
    running = Bank(stack)
    for partner in PARTNERS:
        await running.mend(partner)
    yield running
    for partner in PARTNERS:
        await running.mend(partner)
    if request.node.get_closest_marker("judged_with_its_module"):
        unjudged.append(request.node.name)
    else:
        await require_right(running)
    await running.close()
