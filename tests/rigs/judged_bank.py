"""Fixtures: the whole running bank, judged after each test or once after the module.

Imported by the conftest of each folder whose tests use the bank as its customers do.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.stack.testing import RunningStack
from tests.rigs.running_bank import Bank

PARTNERS = ("ach", "fraud", "fcm", "oauth", "sms", "rekognition")


async def require_right(bank: Bank) -> None:
    """Wait until all events have arrived; fail when any two stores disagree."""
    verdict = await bank.judged()
    assert verdict["ok"], verdict["differences"]


@pytest_asyncio.fixture(scope="module")
async def unjudged(stack: RunningStack) -> AsyncIterator[list[str]]:
    """Names of tests that were not judged yet; the bank is judged for them after the module."""
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
    """The bank, with all partners healthy before and after the test; judged afterwards.

    A test marked `judged_with_its_module` is judged with the rest of its module. The judge reads
    all stores from their first record, so it finds every difference that lasts.
    """
    running = Bank(stack)
    for partner in PARTNERS:
        await running.clear_faults(partner)
    yield running
    for partner in PARTNERS:
        await running.clear_faults(partner)
    if request.node.get_closest_marker("judged_with_its_module"):
        unjudged.append(request.node.name)
    else:
        await require_right(running)
    await running.close()
