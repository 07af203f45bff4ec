"""With every fault before and after every commit of the saga, each transfer ends correctly, once.

The cases come from the state table. rounds.py runs them together; each test reads the outcome of
one case.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from ops.waiting import scaled_s
from sandbox.stack.testing import RunningStack
from services.payments.state import TABLE
from tests.chaos.every_commit.rounds import CASES, Case, Outcomes, rounds_on
from tests.chaos.every_commit.rows import SCENARIOS
from tests.rigs.running_bank import Bank

PARTNERS = ("ach", "fraud", "fcm", "oauth", "sms")
ALL_WITHIN_S = 240.0
"""Shorter than a test's timeout, so that the normal payments is restored after a hang."""


@pytest_asyncio.fixture(scope="module")
async def outcomes(stack: RunningStack, request: pytest.FixtureRequest) -> AsyncGenerator[Outcomes]:
    """The outcome of every selected case, and the judge's verdict on the bank."""
    chosen = _chosen(request.session.items)
    bank = Bank(stack)
    for partner in PARTNERS:
        await bank.clear_faults(partner)
    async with rounds_on(bank) as rounds:
        try:
            async with asyncio.timeout(scaled_s(ALL_WITHIN_S)):
                await rounds.all([case for case in CASES if case in chosen])
        except TimeoutError as error:
            # Each case that has not ended then fails under its own name.
            rounds.outcomes.broken_off = error
    rounds.outcomes.verdict = await bank.judged()
    yield rounds.outcomes
    await bank.close()


def _chosen(items: list[pytest.Item]) -> set[Case]:
    """Return the cases to run: all, unless some tests were selected."""
    params = [getattr(getattr(item, "callspec", None), "params", {}) for item in items]
    return {one["case"] for one in params if isinstance(one.get("case"), Case)}


def test_every_row_of_the_table_can_be_driven_and_no_other() -> None:
    assert SCENARIOS.keys() == TABLE.rows.keys()


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_fault_at_a_commit_of_the_saga_loses_nothing_and_doubles_nothing(
    outcomes: Outcomes, case: Case
) -> None:
    outcomes.require_right(case.name)


def test_the_judge_finds_no_difference_after_all_cases(outcomes: Outcomes) -> None:
    assert outcomes.verdict["ok"], outcomes.verdict["differences"]
