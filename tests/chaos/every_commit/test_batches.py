"""A fault hits debits or steps that share a commit: each is made once or not at all.

The requests of a test share one commit at any speed of the host: all are held before the commit and
released by one message. The rows of a shared commit have the same transaction id, so the test can
see which ones share it.
"""

from __future__ import annotations

import asyncio
import re
import signal
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncpg.pool import PoolConnectionProxy

from ops.waiting import until
from sandbox.stack.home import REPO
from services.kernel.ids import shard_of
from tests.chaos.every_commit.books import require_right
from tests.chaos.every_commit.faults import until_commit_waits
from tests.chaos.every_commit.gate import Hold
from tests.chaos.every_commit.payments_that_stops import DEBIT
from tests.chaos.every_commit.rounds import Rounds, rounds_on
from tests.chaos.every_commit.rows import Step
from tests.chaos.every_commit.transfer_run import AMOUNT, OPENING, WITHIN_S, TransferRun
from tests.rigs.host_speed import waited_out_s
from tests.rigs.running_bank import Answer, Bank

CROWD = 24
"""Fewer than the largest batch."""
FEW = 8
GIVES_UP_S = 3
"""How many seconds a batch waits for a row that the test locks, scaled as a time that a test waits
out. The test kills payments well within this time. The statement timeout is longer (five seconds,
scaled as a deadline)."""
FUNCTIONS = REPO / "services" / "payments" / "sql" / "functions"

AGAIN, IN_PROGRESS = {429, 503, 504}, "REQUEST_IN_PROGRESS"
"""Statuses and a reason by which the bank asks for a retry of the same request."""

ACCEPTED = "DEBITED-ACCEPTED"

_WRITERS = """
SELECT xmin::text AS writer FROM payments.interbank_transfer
WHERE shard = ANY ($1::smallint[]) AND account_id = ANY ($2)
"""

_FUNCTIONS = {
    "payments.debit_each": "250ms",
    "payments.advance_group(payments.plain_step[], text[])": "250ms",
}
"""The functions that commit several transfers, with their lock timeouts in production."""


@asynccontextmanager
async def crowd_at(
    bank: Bank, step: str, *, opening: Sequence[int] = (OPENING,) * CROWD
) -> AsyncGenerator[tuple[Rounds, list[TransferRun], list[Hold]]]:
    """Hold many requests before the same step, each of a different customer."""
    async with rounds_on(bank) as rounds, _patient_batches(rounds):
        mark = uuid.uuid4().hex[:6]
        memos = [f"batch-{mark}-{number}" for number in range(len(opening))]
        runs = await rounds.open_runs([(Step(), memo) for memo in memos], opening)
        await rounds.payments.stand_in(workers=1)
        holds = [run.watch.hold(step, "before", every=True) for run in runs]
        await _until_held(runs, holds)
        yield rounds, runs, holds


@asynccontextmanager
async def _patient_batches(rounds: Rounds) -> AsyncGenerator[None]:
    """Raise the lock timeouts, so that a batch waits for a row that a test locks; restore
    production's timeouts at the end.

    Earlier values are not restored, because they may come from a test that was killed.
    """
    patient = f"{round(1000 * waited_out_s(GIVES_UP_S))}ms"
    try:
        await _give_up_after(rounds, dict.fromkeys(_FUNCTIONS, patient))
        yield
    finally:
        await _give_up_after(rounds, _FUNCTIONS)


async def _give_up_after(rounds: Rounds, times: Mapping[str, str]) -> None:
    for function, time in times.items():
        sql = f"ALTER FUNCTION {function} SET lock_timeout = '{time}'"
        await rounds.superuser.execute(sql)


@pytest.mark.parametrize("function", _FUNCTIONS)
def test_the_restored_lock_timeout_is_that_of_production(function: str) -> None:
    name = function.partition("(")[0].partition(".")[2]
    text = (FUNCTIONS / f"{name}.sql").read_text()
    assert re.findall(r"lock_timeout = '(\w+)'", text) == [_FUNCTIONS[function]]


async def _until_held(runs: Sequence[TransferRun], holds: Sequence[Hold], count: int = 1) -> None:
    """Wait until each hold has `count` requests. It sends missing requests again."""

    async def all_there() -> bool:
        missing = [r for r, h in zip(runs, holds, strict=True) if len(h.waiting) < count]
        for run in missing:
            run.ask(count)
        return not missing

    await until(all_there, WITHIN_S, f"all requests are held at {holds[0].step}")


def _release(holds: Sequence[Hold]) -> None:
    for hold in holds:
        hold.release()


async def _shared(rounds: Rounds, runs: Sequence[TransferRun]) -> list[int]:
    """Return how many of the transfers each transaction wrote, the largest number first."""
    accounts = [run.customer.account_id for run in runs]
    shards = [shard_of(account) for account in accounts]
    rows: list[Any] = await rounds.superuser.fetch(_WRITERS, shards, accounts)
    return sorted(Counter(row["writer"] for row in rows).values(), reverse=True)


def _last(runs: Sequence[TransferRun]) -> TransferRun:
    """Return the run whose account a batch locks last."""
    return max(runs, key=lambda r: (shard_of(r.customer.account_id), r.customer.account_id))


async def _end_right(runs: Sequence[TransferRun]) -> None:
    """Retry every key twice. The answers must be the same, and each transfer must exist once."""
    await asyncio.gather(*(run.end() for run in runs))
    for run in runs:
        run.answers.append(await run.pay_until_answered())
    await asyncio.gather(*(require_right(run) for run in runs))


_LOCK_ACCOUNT = "SELECT FROM ledger.account WHERE shard = $1 AND account_id = $2 FOR UPDATE"
_LOCK_TRANSFER = (
    "SELECT FROM payments.interbank_transfer WHERE shard = $1 AND transfer_id = $2 FOR UPDATE"
)


@asynccontextmanager
async def _locked(rounds: Rounds, sql: str, key: uuid.UUID) -> AsyncGenerator[PoolConnectionProxy]:
    """Lock a row, so that the commit that needs it waits."""
    async with rounds.superuser.acquire() as locker, locker.transaction():
        await locker.execute(sql, shard_of(key), key)
        yield locker


async def _gone(rounds: Rounds, backend: int) -> bool:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
    return not await rounds.superuser.fetchval(sql, backend)


@pytest.mark.parametrize("committed", [False, True])
async def test_a_crash_before_the_commit_of_a_batch_of_debits_leaves_all_of_it_or_nothing(
    bank: Bank, committed: bool
) -> None:
    async with crowd_at(bank, DEBIT) as (rounds, runs, holds):
        async with _locked(rounds, _LOCK_ACCOUNT, _last(runs).customer.account_id) as lock:
            _release(holds)
            backend = await until_commit_waits(rounds.superuser, lock)
            await rounds.payments.die()
            if not committed:
                # The client is dead, so the lock timeout ends the wait for the row.
                await until(lambda: _gone(rounds, backend), WITHIN_S, "the server gives up")
        await until(lambda: _gone(rounds, backend), WITHIN_S, "the server is done")
        assert await _shared(rounds, runs) == ([CROWD] if committed else [])
        await rounds.payments.step_aside(signal.SIGKILL)
        await _end_right(runs)


async def test_a_crash_after_the_commit_of_a_batch_and_before_any_answer_is_resumed(
    bank: Bank,
) -> None:
    async with crowd_at(bank, DEBIT) as (rounds, runs, holds):
        answers = [run.watch.hold(DEBIT, "after", every=True) for run in runs]
        _release(holds)
        await _until_held(runs, answers)
        debited = [run.transfer_id for run in runs]
        assert await _shared(rounds, runs) == [CROWD]
        await rounds.payments.step_aside(signal.SIGKILL)
        await _end_right(runs)
        assert [run.answers[-1].body["transferId"] for run in runs] == debited


async def test_a_session_that_ends_during_a_batch_loses_no_debit(bank: Bank) -> None:
    async with crowd_at(bank, DEBIT) as (rounds, runs, holds):
        async with _locked(rounds, _LOCK_ACCOUNT, _last(runs).customer.account_id) as lock:
            _release(holds)
            backend = await until_commit_waits(rounds.superuser, lock)
            await rounds.superuser.fetchval("SELECT pg_terminate_backend($1)", backend)
            await until(lambda: _gone(rounds, backend), WITHIN_S, "the session has ended")
        await _end_right(runs)


def _is_definite(answer: Answer) -> bool:
    """Return whether an answer does not ask for a retry of the same request."""
    return answer.status not in AGAIN and answer.reason != IN_PROGRESS


async def test_one_refused_debit_of_a_batch_refuses_no_other_debit(bank: Bank) -> None:
    opening = [OPENING] * (CROWD - 1) + [AMOUNT - 1]
    async with crowd_at(bank, DEBIT, opening=opening) as (rounds, runs, holds):
        *good, poor = runs
        _release(holds)
        await _end_right(good)
        refused = await poor.pay_until_answered(_is_definite)
        assert (refused.status, refused.reason) == (400, "INSUFFICIENT_FUNDS")
        assert await bank.posted(poor.customer) == AMOUNT - 1
        assert len(await _shared(rounds, [poor])) == 0


async def test_one_key_twice_in_a_batch_is_one_debit_and_one_answer(bank: Bank) -> None:
    # A small number, so that all arrive long before the first caller times out.
    async with crowd_at(bank, DEBIT, opening=[OPENING] * FEW) as (_rounds, runs, holds):
        await _until_held(runs, holds, 2)
        _release(holds)
        await _end_right(runs)
        assert all(len(run.answers) >= 3 for run in runs)


@pytest.mark.parametrize("committed", [False, True])
async def test_a_crash_in_the_commit_of_a_batch_of_steps_is_resumed(
    bank: Bank, committed: bool
) -> None:
    async with crowd_at(bank, ACCEPTED) as (rounds, runs, holds):
        last = max(uuid.UUID(run.transfer_id) for run in runs)
        async with _locked(rounds, _LOCK_TRANSFER, last) as lock:
            _release(holds)
            backend = await until_commit_waits(rounds.superuser, lock)
            await rounds.payments.die()
            if not committed:
                await rounds.superuser.fetchval("SELECT pg_terminate_backend($1)", backend)
                await until(lambda: _gone(rounds, backend), WITHIN_S, "the session has ended")
        await until(lambda: _gone(rounds, backend), WITHIN_S, "the server is done")
        if committed:
            assert await _shared(rounds, runs) == [CROWD]
        await rounds.payments.step_aside(signal.SIGKILL)
        await _end_right(runs)
