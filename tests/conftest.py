"""The session's stack for every test that requests it, and the two lanes of `make test`.

There is one stack per session. It starts lazily: a test that requests `stack_postgres` waits only
for PostgreSQL. A running stack is used and left running.

BP_TEST_HOME names the stack's folder, whose data is kept. Without it the folder is .bp-test, and a
session that starts the stack removes the data first: the judge reads every store from its first
record, so the transfers of earlier sessions would make each judgement slower.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from xdist.workermanage import WorkerController

from sandbox.stack.home import REPO
from sandbox.stack.testing import RunningStack
from tests.rigs.failures import Failures
from tests.rigs.host_speed import let_no_property_measure, set_deadline_factor

HOME = ".bp-test"
LANES = ("stack", "alone")
BCRYPT_COST = "6"
"""The cost of passwords in the stacks of tests: hundreds of logins at 12 would use both cores."""
FREE_LANES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Measure the host before any test and before any worker of `make test` starts."""
    set_deadline_factor()
    os.environ.setdefault("BP_STACK_BCRYPT_COST", BCRYPT_COST)
    let_no_property_measure()
    config.pluginmanager.register(Failures(config))


def pytest_configure_node(node: WorkerController) -> None:
    """Give each worker of `make test` a lane; a worker that replaces a crashed one gets its lane.

    Workers choose their own tests, because only they know fixtures; the scheduler sees only names.
    """
    if node.config.getoption("dist") == "each":
        free = node.config.stash.setdefault(FREE_LANES, [*LANES])
        if not free:
            raise pytest.UsageError(f"--dist each runs {len(LANES)} lanes: use -n {len(LANES)}")
        node.workerinput["lane"] = free.pop(0)


def pytest_testnodedown(node: WorkerController) -> None:
    """Free the lane of a worker that ended."""
    freed = node.workerinput.get("lane")
    if isinstance(freed, str):
        node.config.stash[FREE_LANES].append(freed)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that use the stack; a worker with a lane runs only its tests."""
    for item in items:
        if "stack_supervisor" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)
    own = getattr(config, "workerinput", {}).get("lane")
    if own is not None:
        config.hook.pytest_deselected(items=[item for item in items if lane(item) != own])
        items[:] = [item for item in items if lane(item) == own]


def lane(item: pytest.Item) -> str:
    """Return the lane of a test: `stack` if it uses the stack, else `alone`.

    There is one stack per session, and two workers would break each other's. Each lane takes about
    half of the time.
    """
    return "stack" if item.get_closest_marker("stack") else "alone"


@pytest.fixture(scope="session")
def stack_supervisor(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """The stack's supervisor; no part runs yet unless the stack was already running."""
    worker = getattr(request.config, "workerinput", None)
    if worker is not None and "lane" not in worker:
        pytest.fail("Workers would share one stack. Run with `-n 2 --dist each`, or without -n.")
    root = os.environ.get("BP_TEST_HOME")
    running = RunningStack.open(REPO / root) if root else RunningStack.open_empty(REPO / HOME)
    yield running
    if running.started:
        running.down()


@pytest.fixture(scope="session")
def stack_postgres(stack_supervisor: RunningStack) -> RunningStack:
    """The stack's PostgreSQL with every database, role and migration."""
    stack_supervisor.ensure("migrations")
    return stack_supervisor


@pytest.fixture(scope="session")
def stack_kafka(stack_supervisor: RunningStack) -> RunningStack:
    """The stack's Kafka with the bank's topics."""
    stack_supervisor.ensure("topics")
    return stack_supervisor


@pytest.fixture(scope="session")
def stack_openbao(stack_supervisor: RunningStack) -> RunningStack:
    """The stack's OpenBao with secrets, policies, PKI, and every certificate issued."""
    stack_supervisor.ensure("certificates")
    return stack_supervisor


@pytest.fixture(scope="session")
def stack(stack_supervisor: RunningStack) -> RunningStack:
    """The whole bank."""
    stack_supervisor.ensure()
    return stack_supervisor
