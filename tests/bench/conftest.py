"""A bench on the session's stack, with few callers and short runs."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.bench.bench import Bench, Findings, Scale
from lab.bench.load import orders
from lab.bench.load.orders import Payer
from lab.bench.test_bench import TestBench
from sandbox.stack.testing import RunningStack
from tests.rigs.host_speed import waited_out_s

CUSTOMERS = 16
WARM_UP_S = 0.1


def short_s() -> float:
    """Return the seconds of a short run, scaled so that a slow host makes equally many
    transfers."""
    return waited_out_s(0.4)


@pytest.fixture(name="test_bench", scope="session")
def bench_on_the_session_stack(stack: RunningStack) -> TestBench:
    return TestBench(stack)


@pytest_asyncio.fixture(scope="session")
async def callers(test_bench: TestBench) -> list[Payer]:
    return await orders.payers(test_bench, CUSTOMERS)


@pytest_asyncio.fixture
async def bench(test_bench: TestBench, callers: list[Payer]) -> AsyncIterator[Bench]:
    """A bench without findings."""
    said: list[str] = []
    found = Findings()
    yield Bench(
        test_bench,
        callers,
        Scale(quick=True, seconds=short_s(), connections=4, quick_warm_up_s=WARM_UP_S),
        found,
        said.append,
    )
    assert said, "a bench reports its progress"
