"""Fixtures that every test may use: the running stack, or the part of it that a test needs.

One stack a session in BP_TEST_HOME (default .bp-test), started lazily: a test that asks for
`postgres` waits for PostgreSQL alone. A stack that already ran is used and left running.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from sandbox.stack.home import REPO
from sandbox.stack.testing import RunningStack
from tests.rigs.host_speed import (
    let_no_property_measure,
    scale_timeouts,
    set_deadline_factor,
)

STACK_LANE = (
    "tests/bench/",
    "tests/chaos/",
    "tests/e2e/",
    "tests/fuzz/",
    "tests/regressions/",
    "tests/integration/vault/",
)
"""Whose tests use the session's stack; all others have parts of their own, or none."""
ALONE = (
    "tests/chaos/stores/test_full_disks.py",
    "tests/e2e/stack/test_recovery.py",
    "tests/e2e/stack/test_supervisor.py",
    "tests/e2e/stack/test_up_fails.py",
    "tests/regressions/test_stack.py",
)
"""Those in the same folders that start stacks of their own."""


def lane(nodeid: str) -> str:
    """Return the lane of a test: `stack` or `alone`."""
    return "stack" if nodeid.startswith(STACK_LANE) and not nodeid.startswith(ALONE) else "alone"


class Lanes(LoadScopeScheduling):
    """Two lanes side by side: there is one stack, and a fixture of a session lives once."""

    def _split_scope(self, nodeid: str) -> str:
        return lane(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """Have `make test` share the tests out by lane."""
    return Lanes(config, log)


def pytest_configure() -> None:
    """Measure the host before any test and before any worker of `make test` starts."""
    set_deadline_factor()
    let_no_property_measure()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give a slow or busy host the time it needs before a test counts as hanging."""
    scale_timeouts(config, items)


@pytest.fixture(scope="session")
def stack_supervisor(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """A supervisor without any part running yet."""
    # Two workers would find the same stack and break it for each other.
    users = [
        one.nodeid
        for one in request.session.items
        if "stack_supervisor" in getattr(one, "fixturenames", ())
    ]
    strays = [nodeid for nodeid in users if lane(nodeid) != "stack"]
    assert not strays, f"these belong into STACK_LANE: {strays}"
    root = os.environ.get("BP_TEST_HOME")
    running = RunningStack.open(REPO / ".bp-test" if root is None else REPO / root)
    yield running
    if running.started:
        running.down()


@pytest.fixture(scope="session")
def postgres(stack_supervisor: RunningStack) -> RunningStack:
    """PostgreSQL with every database, role and migration."""
    stack_supervisor.ensure("migrations")
    return stack_supervisor


@pytest.fixture(scope="session")
def kafka(stack_supervisor: RunningStack) -> RunningStack:
    """Kafka with the bank's topics."""
    stack_supervisor.ensure("topics")
    return stack_supervisor


@pytest.fixture(scope="session")
def openbao(stack_supervisor: RunningStack) -> RunningStack:
    """OpenBao with secrets, policies, PKI, and every certificate issued."""
    stack_supervisor.ensure("certificates")
    return stack_supervisor


@pytest.fixture(scope="session")
def stack(stack_supervisor: RunningStack) -> RunningStack:
    """The whole bank."""
    stack_supervisor.ensure()
    return stack_supervisor
