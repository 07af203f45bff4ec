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
from tests.chaos.every_commit.faults import duplicate, silence
from tests.chaos.every_commit.rounds import CASES, Case, Outcomes, rounds_on
from tests.chaos.every_commit.rows import SCENARIOS, STEPS
from tests.chaos.every_commit.transfer_run import OPENING
from tests.rigs.running_bank import Bank

PARTNERS = ("ach", "fraud", "fcm", "oauth", "sms")
ALL_WITHIN_S = 120.0
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
            # The round may have held notices back. Later tests need them.
            await bank.release_notices()
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


async def test_a_case_that_holds_a_worker_does_not_stop_another_case(stack: RunningStack) -> None:
    """Each of two cases holds a worker's look for overdue transfers, and needs the other worker."""
    bank = Bank(stack)
    step = next(one for one in STEPS if one.name == "SUBMITTED-RECALLED")
    async with rounds_on(bank) as rounds:
        runs = await rounds.open_runs([(step, "first"), (step, "second")], [OPENING] * 2)
        await rounds.payments.stand_in(workers=2)
        holds = [run.watch.hold(step.name, "before", every=True) for run in runs]
        for run, hold in zip(runs, holds, strict=True):
            run.hold = hold
            await run.begin()
            await run.until_caught()
        assert len({hold.waiting[0].worker for hold in holds}) == len(runs)
        await asyncio.gather(duplicate(runs[0], holds[0]), silence(runs[1], holds[1]))
        await asyncio.gather(*(run.end() for run in runs))
        await rounds.payments.step_aside()
    await bank.close()
