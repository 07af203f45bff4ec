"""The faults that hit a transfer while it is held at a commit. Each releases it at the end.

A crash is not here, because it hits all held transfers at once: see rounds.py.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from ops.waiting import scaled_s, until
from services.kernel.ids import shard_of
from services.payments.state import PENDING, State
from tests.chaos.every_commit.gate import Hold
from tests.chaos.every_commit.payments_that_stops import QUERY, RECALL, SUBMIT
from tests.chaos.every_commit.rows import HANG, Cause
from tests.chaos.every_commit.transfer_run import WITHIN_S, TransferRun
from tests.rigs.host_speed import waited_out_s

REFUSALS = 2
"""How often a commit fails before it succeeds."""
COMES_WITHIN_S = 5.0
"""A released call reaches its commit at once, or never because its caller gave up. The wait is
short, because the test locks the row and then tries again."""


async def duplicate(run: TransferRun, hold: Hold) -> None:
    """Repeat the step's cause, and let the duplicate finish while the first call is held.

    Before the commit, the duplicate reaches the same commit and makes the step, so the first call
    finds the transfer changed. After the commit, a worker resumes a transfer that is still pending,
    or the duplicate finds a transfer that is past the step.
    """
    following = run.step.following
    if hold.when == "before":
        await _made_by_the_second(run, hold)
    elif run.scenario.cause in {Cause.CANCEL, Cause.NOTICE}:
        run.cause_twice()
    elif following in PENDING:
        hits = run.watch.hits
        await run.until(lambda: run.watch.hits > hits or run.has_ended, run.cause_twice)
    elif following is not State.FAILED:
        # Retry the same key, but not after a failed transfer: the key is free and would start a new
        # one.
        run.pay()
    hold.release()


async def _made_by_the_second(run: TransferRun, hold: Hold) -> None:
    """Hold two calls at the same commit. Release the second; keep the first until the step is
    made."""
    made = run.watch.made
    after = (run.step.name, "after")
    async with asyncio.timeout(scaled_s(WITHIN_S)):
        while not made[after]:
            await run.until(lambda: made[after] > 0 or len(hold.waiting) > 1, run.cause_twice)
            if len(hold.waiting) > 1:
                hold.waiting[-1].let_go()
            await run.for_a_while(lambda: made[after] > 0)


async def silence(run: TransferRun, hold: Hold) -> None:
    """Let every request about this transfer to the clearing house time out.

    Before the commit, another worker's request times out after the first worker has got its answer.
    After the commit, the next request from the following state times out.
    """
    faults = [await run.fault(HANG, SUBMIT, addenda=run.memo)]
    if run.transfer_id:
        for endpoint in (QUERY, RECALL):
            faults.append(await run.fault(HANG, endpoint, idempotencyKey=run.transfer_id))
    by_worker = run.scenario.is_by_worker
    if hold.when == "before" and by_worker:
        await _until_fired(run, faults)
    hold.release()
    if run.step.following in PENDING and not (hold.when == "before" and by_worker):
        await _until_fired(run, faults)
    for one in faults:
        await run.clear_fault(one)


async def _until_fired(run: TransferRun, faults: list[str]) -> None:
    async def fired() -> bool:
        if run.has_ended or await run.fired(faults):
            return True
        if run.scenario.cause is Cause.CANCEL:
            run.cause()
        if run.hold is not None:
            # Workers that sent their request before the fault are held too. Cancel them, so one
            # sends again.
            for one in run.hold.waiting[1:]:
                one.let_go("away")
        await run.by_another()
        await asyncio.sleep(0.3)
        return False

    await until(fired, WITHIN_S, f"{run.memo}: the clearing house gets a request")


async def late(run: TransferRun, hold: Hold) -> None:
    """Let the submission reach the clearing house late, or a second time."""
    if run.transfer_id:
        await run.submit_late()
        hold.release()
        return
    # No submission can be in flight before the debit, so the later submission is delayed.
    await run.fault("latency", SUBMIT, addenda=run.memo)
    hold.release()


async def refused(run: TransferRun, hold: Hold) -> None:
    """Let the database end the session during the commit, several times before it succeeds.

    After the commit the answer is lost: the step is saved, but the worker cannot tell.
    """
    if hold.when == "after":
        hold.release("lost")
        return
    for _ in range(REFUSALS):
        await _refuse(run, hold)
    await run.until(lambda: bool(hold.waiting), run.cause)
    hold.release()


async def _refuse(run: TransferRun, hold: Hold) -> None:
    """Make the database refuse the commit once.

    If the commit fails with another batch, or its caller times out before the commit waits, this
    catches the next commit.
    """
    # A few at a time, because each needs a connection until its commit waits.
    async with asyncio.timeout(scaled_s(WITHIN_S)), run.gate.lockers:
        ended = False
        while not ended:
            # Catch the call before locking the row: no worker claims a transfer whose row is
            # locked.
            await run.until(lambda: bool(hold.waiting), run.cause)
            ended = await _session_ended_in(run, hold)


async def _session_ended_in(run: TransferRun, hold: Hold) -> bool:
    """Make the commit wait for a row, and end the session that waits."""
    account = run.customer.account_id
    sql, key = "SELECT FROM ledger.account WHERE shard = $1 AND account_id = $2 FOR UPDATE", account
    if run.step.row is not None:
        sql = (
            "SELECT FROM payments.interbank_transfer"
            " WHERE shard = $1 AND transfer_id = $2 FOR UPDATE"
        )
        key = uuid.UUID(run.transfer_id)
    async with run.superuser.acquire() as locker, locker.transaction():
        await locker.execute(sql, shard_of(key), key)
        failed = run.watch.made[run.step.name, "failed"]
        for one in hold.waiting[:1]:
            one.let_go()
        # A debit whose batch failed is retried alone at once.
        for _ in range(2 if run.step.row is None else 1):
            backends = await _commits_that_wait(run, locker, failed)
            for backend in backends:
                await run.superuser.fetchval("SELECT pg_terminate_backend($1, 5000)", backend)
            if not backends:
                return False
    return True


async def _commits_that_wait(run: TransferRun, locker: Any, failed: int) -> list[int]:
    """Return the server processes that wait for a lock of `locker`. Empty if the commit failed
    earlier or never began."""
    mine = await locker.fetchval("SELECT pg_backend_pid()")
    deadline = time.monotonic() + waited_out_s(COMES_WITHIN_S)
    while time.monotonic() < deadline:
        backends = await commits_behind(run.superuser, mine)
        if backends or run.watch.made[run.step.name, "failed"] > failed:
            return backends
        await asyncio.sleep(0.01)
    return []


_WAITING = r"""
SELECT pid FROM pg_stat_activity
WHERE application_name LIKE 'payments/%' AND query ~ 'payments\.(advance|debit)'
  AND $1 = ANY (pg_blocking_pids(pid))
"""


async def commits_behind(superuser: asyncpg.Pool, locker: int) -> list[int]:
    """Return payments' server processes whose commit waits for a lock of `locker`."""
    rows: list[Any] = await superuser.fetch(_WAITING, locker)
    return [row["pid"] for row in rows]


async def until_commit_waits(superuser: asyncpg.Pool, locker: Any) -> int:
    """Wait until a commit of payments waits for a lock of `locker`. Return its process."""
    mine = await locker.fetchval("SELECT pg_backend_pid()")

    async def waiting() -> list[int]:
        return await commits_behind(superuser, mine)

    return (await until(waiting, WITHIN_S, "a commit waits"))[0]


Fault = Callable[[TransferRun, Hold], Awaitable[None]]

LIVE: dict[str, Fault] = {
    "duplicate": duplicate,
    "silence": silence,
    "late": late,
    "refused": refused,
}
"""Faults that the process of payments survives."""

CRASH = "crash"
