"""Fixtures that every test may use: the running stack, or the part of it that a test needs.

One stack a session in BP_TEST_HOME (default .bp-test), started lazily: a test that asks for
`postgres` waits for PostgreSQL alone. A stack that already ran is used and left running.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sandbox.stack.home import REPO
from sandbox.stack.testing import RunningStack


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test its lane: whoever asks for the session's stack, and everybody else.

    `make test` runs the two side by side (pytest-xdist), so that there is one stack, and each
    fixture of a session or a package lives once.
    """
    for item in items:
        needs_stack = "stack_supervisor" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("stack" if needs_stack else "alone"))


@pytest.fixture(scope="session")
def stack_supervisor() -> Iterator[RunningStack]:
    """A supervisor without any part running yet."""
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
