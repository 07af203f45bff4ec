"""Debits and steps that share a commit, broken in the middle of it: each is there once or not.

What is shared is seen from outside: rows that one transaction wrote carry its number.
"""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from services.kernel.ids import shard_of
from tests.chaos.product.books import require_right
from tests.chaos.product.faults import until_commit_waits
from tests.chaos.product.gate import Hold
from tests.chaos.product.payments_that_stops import DEBIT
from tests.chaos.product.rounds import Rounds, rounds_on
from tests.chaos.product.rows import Step
from tests.chaos.product.transfer_run import AMOUNT, OPENING, WITHIN_S, TransferRun
from tests.e2e.bank import Bank, until

CROWD = 24
TOGETHER_MS = 150
"""What comes so soon after another goes with it, however slow the machine is."""
SHARED_MIN = 8
"""At least so many of a crowd must have shared a commit, or the test says nothing about groups."""

ACCEPTED = "DEBITED-ACCEPTED"

_WRITERS = """
SELECT xmin::text AS writer FROM payments.interbank_transfer
WHERE shard = ANY ($1::smallint[]) AND account_id = ANY ($2)
"""


@asynccontextmanager
async def crowd_at(
    bank: Bank, step: str, when: str, *, opening: Sequence[int] = (OPENING,) * CROWD
) -> AsyncGenerator[tuple[Rounds, list[TransferRun], list[Hold]]]:
    """Have a crowd of requests held at the same step, each of a customer of its own."""
    async with rounds_on(bank) as rounds:
        mark = uuid.uuid4().hex[:6]
        memos = [f"group-{mark}-{number}" for number in range(len(opening))]
        runs = await rounds.open_runs([(Step(), memo) for memo in memos], opening)
        await rounds.payments.stand_in(workers=1, group_every_ms=TOGETHER_MS)
        holds = [run.watch.hold(step, when) for run in runs]
        for run in runs:
            run.pay()
        await until(lambda: _all_caught(holds), WITHIN_S, f"all at {step}")
        yield rounds, runs, holds


async def _all_caught(holds: Sequence[Hold]) -> bool:
    return all(hold.caught for hold in holds)


def _release(holds: Sequence[Hold]) -> None:
    for hold in holds:
        hold.release()


async def _shared(rounds: Rounds, runs: Sequence[TransferRun]) -> list[int]:
    """Return how many of the crowd's transfers each transaction wrote, the most first."""
    accounts = [run.customer.account_id for run in runs]
    shards = [shard_of(account) for account in accounts]
    rows: list[Any] = await rounds.superuser.fetch(_WRITERS, shards, accounts)
    return sorted(Counter(row["writer"] for row in rows).values(), reverse=True)


def _last(runs: Sequence[TransferRun]) -> TransferRun:
    """Return the one whose account a group locks last."""
    return max(runs, key=lambda r: (shard_of(r.customer.account_id), r.customer.account_id))


def _release_behind(first: Sequence[Hold], last: Hold) -> None:
    """Release all, one behind the others: what comes first may go in a small group."""
    _release([hold for hold in first if hold is not last])
    last.release()


async def _end_right(runs: Sequence[TransferRun]) -> None:
    """Repeat every key twice; the answers are the same, and each transfer is there once."""
    await asyncio.gather(*(run.end() for run in runs))
    for run in runs:
        run.answers.append(await run.pay_until_answered())
    await asyncio.gather(*(require_right(run) for run in runs))


_LOCK_ACCOUNT = "SELECT FROM ledger.account WHERE shard = $1 AND account_id = $2 FOR UPDATE"
_LOCK_TRANSFER = (
    "SELECT FROM payments.interbank_transfer WHERE shard = $1 AND transfer_id = $2 FOR UPDATE"
)


@asynccontextmanager
async def _locked(rounds: Rounds, sql: str, key: uuid.UUID) -> AsyncGenerator[asyncpg.Connection]:
    """Hold a row, so that the commit that needs it waits."""
    async with rounds.superuser.acquire() as locker, locker.transaction():
        await locker.execute(sql, shard_of(key), key)
        yield locker


async def _gone(rounds: Rounds, backend: int) -> bool:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
    return not await rounds.superuser.fetchval(sql, backend)


@pytest.mark.parametrize("committed", [False, True])
async def test_a_crash_before_the_commit_of_a_group_of_debits_leaves_all_of_it_or_nothing(
    bank: Bank, committed: bool
) -> None:
    async with crowd_at(bank, DEBIT, "before") as (rounds, runs, holds):
        last = _last(runs)
        async with _locked(rounds, _LOCK_ACCOUNT, last.customer.account_id) as lock:
            _release_behind(holds, holds[runs.index(last)])
            backend = await until_commit_waits(rounds.superuser, lock)
            rounds.payments.kill()
            if not committed:
                # Nobody is there to take the answer; the wait for the row ends by itself.
                await until(lambda: _gone(rounds, backend), WITHIN_S, "the server gives up")
        await until(lambda: _gone(rounds, backend), WITHIN_S, "the server is done")
        shared = await _shared(rounds, runs)
        if committed:
            assert shared
            assert shared[0] >= SHARED_MIN
        else:
            assert CROWD - sum(shared) >= SHARED_MIN
        await rounds.payments.step_aside(signal.SIGKILL)
        await _end_right(runs)


async def test_a_crash_after_the_commit_of_a_group_and_before_any_answer_is_resumed(
    bank: Bank,
) -> None:
    async with crowd_at(bank, DEBIT, "after") as (rounds, runs, _holds):
        debited = [run.transfer_id for run in runs]
        assert (await _shared(rounds, runs))[0] >= SHARED_MIN
        await rounds.payments.step_aside(signal.SIGKILL)
        await _end_right(runs)
        assert [run.answers[-1].body["transferId"] for run in runs] == debited


async def test_a_session_ended_in_the_middle_of_a_group_costs_nobody_a_debit(bank: Bank) -> None:
    async with crowd_at(bank, DEBIT, "before") as (rounds, runs, holds):
        last = _last(runs)
        async with _locked(rounds, _LOCK_ACCOUNT, last.customer.account_id) as lock:
            _release_behind(holds, holds[runs.index(last)])
            backend = await until_commit_waits(rounds.superuser, lock)
            await rounds.superuser.fetchval("SELECT pg_terminate_backend($1)", backend)
            await until(lambda: _gone(rounds, backend), WITHIN_S, "the session has ended")
        await _end_right(runs)


async def test_one_refused_debit_of_a_group_refuses_nobody_else(bank: Bank) -> None:
    opening = [OPENING] * (CROWD - 1) + [AMOUNT - 1]
    async with crowd_at(bank, DEBIT, "before", opening=opening) as (rounds, runs, holds):
        *good, poor = runs
        _release(holds)
        await _end_right(good)
        refused = await poor.pay_once()
        assert (refused.status, refused.reason) == (400, "INSUFFICIENT_FUNDS")
        assert await bank.posted(poor.customer) == AMOUNT - 1
        assert len(await _shared(rounds, [poor])) == 0


async def test_one_key_twice_in_a_group_is_one_debit_and_one_answer(bank: Bank) -> None:
    async with crowd_at(bank, DEBIT, "before") as (_rounds, runs, holds):
        twice = [run.watch.hold(DEBIT, "before") for run in runs]
        for run in runs:
            run.pay()
        await until(lambda: _all_caught(twice), WITHIN_S, "the second requests are there")
        _release([*holds, *twice])
        await _end_right(runs)
        assert all(len(run.answers) >= 3 for run in runs)


@pytest.mark.parametrize("committed", [False, True])
async def test_a_crash_in_the_commit_of_a_group_of_steps_is_resumed(
    bank: Bank, committed: bool
) -> None:
    async with crowd_at(bank, ACCEPTED, "before") as (rounds, runs, holds):
        last = max(uuid.UUID(run.transfer_id) for run in runs)
        async with _locked(rounds, _LOCK_TRANSFER, last) as lock:
            _release(holds)
            backend = await until_commit_waits(rounds.superuser, lock)
            rounds.payments.kill()
            if not committed:
                await rounds.superuser.fetchval("SELECT pg_terminate_backend($1)", backend)
                await until(lambda: _gone(rounds, backend), WITHIN_S, "the session has ended")
        await until(lambda: _gone(rounds, backend), WITHIN_S, "the server is done")
        if committed:
            assert (await _shared(rounds, runs))[0] >= SHARED_MIN
        await rounds.payments.step_aside(signal.SIGKILL)
        await _end_right(runs)
