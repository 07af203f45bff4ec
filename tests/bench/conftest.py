"""A bench over the session's stack, with few callers and short runs."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.bench import orders
from sandbox.bench.bench import Bench, Findings, Scale
from sandbox.bench.orders import Payer
from sandbox.bench.stand import Stand
from sandbox.stack.testing import RunningStack
from sandbox.waiting import scaled_s

CUSTOMERS = 16


def short_s() -> float:
    """Return the length of a short run: a slow host makes as many transfers in it."""
    return scaled_s(0.4)


@pytest.fixture(scope="session")
def stand(stack: RunningStack) -> Stand:
    return Stand(stack)


@pytest_asyncio.fixture(scope="session")
async def callers(stand: Stand) -> list[Payer]:
    return await orders.payers(stand, CUSTOMERS)


@pytest_asyncio.fixture
async def bench(stand: Stand, callers: list[Payer]) -> AsyncIterator[Bench]:
    """A bench whose findings are empty."""
    said: list[str] = []
    found = Findings()
    yield Bench(
        stand, callers, Scale(quick=True, seconds=short_s(), connections=4), found, said.append
    )
    assert said, "a bench says what it does"
