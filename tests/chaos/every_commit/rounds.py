"""All cases, run in rounds: many transfers at once, each with its own step and fault.

Transfers that need the same number of banking days share a round, because the clearing house has
one clock. A crash round brings all its transfers to their commits and kills payments once.
Refusals of the database come last in a round: a worker whose session has ended releases all its
leases, and the other worker then takes the transfers that other cases hold.
"""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from ops.waiting import scaled_s
from sandbox.seed import people, planting
from sandbox.seed.people import Deposit, Person
from tests.chaos.every_commit.books import require_right
from tests.chaos.every_commit.faults import CRASH, LIVE, refused
from tests.chaos.every_commit.processes import Payments, payments_at_the_gate
from tests.chaos.every_commit.rows import STEPS, Step
from tests.chaos.every_commit.transfer_run import OPENING, WITHIN_S, TransferRun
from tests.rigs.running_bank import Bank, Customer

AT_ONCE = 40
"""Transfers that run at the same time."""
SUPERUSER_CONNECTIONS = 16


@dataclass(frozen=True)
class Case:
    """One fault, before or after one commit."""

    step: Step
    when: str
    fault: str

    @property
    def name(self) -> str:
        """The memo of its transfer and the id of its test."""
        return f"{self.step.name}:{self.when}:{self.fault}"


CASES = tuple(
    Case(step, when, fault)
    for step in STEPS
    for when in ("before", "after")
    for fault in (CRASH, *LIVE)
)


@dataclass
class Outcomes:
    """The outcome of each case: None if it passed, otherwise its error."""

    wrong: dict[str, BaseException | None] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    """Cases that ended and whose books were checked. Only these can pass."""
    broken_off: TimeoutError | None = None
    """The timeout that ended all rounds early. None if no round timed out."""
    verdict: dict[str, object] = field(default_factory=dict)

    def require_right(self, name: str) -> None:
        """Raise AssertionError with the case's name unless the case ended correctly."""
        wrong = self.wrong.get(name)
        if wrong is not None:
            raise AssertionError(f"{name}: {type(wrong).__name__}: {wrong}") from wrong
        if name not in self.ended:
            raise AssertionError(f"{name}: did not end") from self.broken_off


class Rounds:
    """Runs cases on one bank."""

    def __init__(self, bank: Bank, superuser: asyncpg.Pool, payments: Payments) -> None:
        self._bank = bank
        self.superuser = superuser
        self.payments = payments
        self.outcomes = Outcomes()

    async def all(self, cases: Sequence[Case]) -> None:
        """Run every case that has a scenario for its step. Any other case fails."""
        drivable: list[Case] = []
        for case in cases:
            try:
                _ = case.step.scenario
            except KeyError as error:
                self.outcomes.wrong[case.name] = error
            else:
                drivable.append(case)
        named = [(case.step, case.name) for case in drivable]
        opened = await self.open_runs(named, [OPENING] * len(named))
        runs = dict(zip(drivable, opened, strict=True))
        for crash in (False, True):
            mine = {case: run for case, run in runs.items() if (case.fault == CRASH) is crash}
            if mine:
                await self._rounds(mine, crash=crash)

    async def _rounds(self, runs: dict[Case, TransferRun], *, crash: bool) -> None:
        """Run the cases of one kind, in one round for each number of banking days."""
        if not crash:
            await self.payments.stand_in(workers=2)
        for days in sorted({case.step.scenario.days for case in runs}):
            mine = {case: run for case, run in runs.items() if case.step.scenario.days == days}
            await (self._crash_round(mine, days) if crash else self._live_round(mine, days))
        if not crash:
            await self.payments.step_aside()

    async def open_runs(
        self, named: Sequence[tuple[Step, str]], opening: Sequence[int]
    ) -> list[TransferRun]:
        """Create a customer for each transfer, which its memo names, with an opening balance."""
        mark = f"{os.getpid()}-{uuid.uuid4().hex[:6]}"
        names = [f"every-commit-{mark}-{number}" for number in range(len(named))]
        opened = [
            Person(name, "Product Customer", (Deposit("CHECKING", cents),))
            for name, cents in zip(names, opening, strict=True)
        ]
        await planting.open_people(self._bank.connect, opened)
        ids = [people.customer_id(name) for name in names]
        tokens = await asyncio.gather(*(self._bank.token(one) for one in ids))
        customers = [
            Customer(name, one, people.account_id(name), token)
            for name, one, token in zip(names, ids, tokens, strict=True)
        ]
        gate, pool = self.payments.gate, self.superuser
        return [
            TransferRun(self._bank, gate, pool, step, memo, customer, cents)
            for (step, memo), customer, cents in zip(named, customers, opening, strict=True)
        ]

    async def _live_round(self, runs: dict[Case, TransferRun], days: int) -> None:
        """Bring each case to its commit and inject its fault there, many at once."""
        self._arm(runs)
        if days:
            await self._days_pass(runs, days)
        for last in (False, True):
            mine = {c: run for c, run in runs.items() if (LIVE[c.fault] is refused) is last}
            await self._each(mine, lambda case: self._live(case, runs[case], began=days > 0))
        await self._end(runs, days)

    async def _crash_round(self, runs: dict[Case, TransferRun], days: int) -> None:
        """Bring each case to its commit, and kill payments when all are there."""
        await self.payments.stand_in(workers=1)
        self._arm(runs)
        if days:
            await self._days_pass(runs, days)
        else:
            await self._each(runs, lambda case: runs[case].begin())
        await self._each(runs, lambda case: self._to_its_commit(runs[case]))
        await self._until_all_are_held(runs)
        await self.payments.step_aside(signal.SIGKILL)
        await self._end(runs, days)

    async def _until_all_are_held(self, runs: dict[Case, TransferRun]) -> None:
        """Repeat lost calls: a caller may have timed out before the other cases reached their
        commits.

        A case fails only if it does not return to its commit in time.
        """

        def lost() -> dict[Case, TransferRun]:
            return {case: run for case, run in runs.items() if self._is_lost(case, run)}

        try:
            async with asyncio.timeout(scaled_s(WITHIN_S)):
                while missing := lost():
                    await self._each(missing, lambda case: runs[case].until_caught())
        except TimeoutError:
            for case, run in lost().items():
                text = f"no call was held {case.when} its commit at the crash"
                self.outcomes.wrong[case.name] = TimeoutError(text)
                run.watch.open()

    def _is_lost(self, case: Case, run: TransferRun) -> bool:
        """Return whether no call is held at the commit. No hold is needed for a fault after the
        commit."""
        held = run.hold is not None and (run.hold.waiting or case.when == "after")
        return not held and self.outcomes.wrong.get(case.name) is None

    def _arm(self, runs: dict[Case, TransferRun]) -> None:
        """Set a hold at the commit of each case, before any request is sent."""
        for case, run in runs.items():
            run.hold = run.watch.hold(case.step.name, case.when, every=True)

    async def _days_pass(self, runs: dict[Case, TransferRun], days: int) -> None:
        """Begin all cases, and let banking days pass while the notices are held back."""
        await self._bank.control("ach", "POST", "/control/webhooks/hold")
        await self._each(runs, lambda case: runs[case].begin())
        body = {"banking_days": days, "drain_timeout_ms": 1}
        await self._bank.control("ach", "POST", "/control/clock/advance", body)

    async def _end(self, runs: dict[Case, TransferRun], days: int) -> None:
        """Wait until every case has ended, and check the books."""
        if days:
            await self._bank.release_notices()
        await self._each(runs, lambda case: runs[case].end())
        await self._each(runs, lambda case: require_right(runs[case]))
        wrong = self.outcomes.wrong
        self.outcomes.ended |= {case.name for case in runs if wrong[case.name] is None}

    async def _each(
        self, runs: dict[Case, TransferRun], act: Callable[[Case], Awaitable[None]]
    ) -> None:
        """Run `act` for each case that has no error yet, and record the errors."""
        at_once = asyncio.Semaphore(max(AT_ONCE, len(runs) // 2))

        async def one(case: Case) -> None:
            if self.outcomes.wrong.get(case.name) is not None:
                return
            async with at_once:
                (wrong,) = await asyncio.gather(act(case), return_exceptions=True)
            self.outcomes.wrong[case.name] = wrong
            if wrong is not None:
                # Calls that are still held would delay the shutdown of the worker.
                runs[case].watch.open()

        await asyncio.gather(*(one(case) for case in runs))

    async def _to_its_commit(self, run: TransferRun) -> None:
        await run.go_on()
        await run.until_caught()

    async def _live(self, case: Case, run: TransferRun, *, began: bool) -> None:
        if not began:
            await run.begin()
        await self._to_its_commit(run)
        if run.hold is not None:
            await LIVE[case.fault](run, run.hold)


@asynccontextmanager
async def rounds_on(bank: Bank) -> AsyncGenerator[Rounds]:
    """Open superuser connections, and start the payments that asks at each commit."""
    # A test may lock a row for longer than the server lets a transaction be idle.
    patient = {"idle_in_transaction_session_timeout": "0"}
    dsn = bank.stack.dsn("bp_write")
    async with (
        asyncpg.create_pool(dsn, max_size=SUPERUSER_CONNECTIONS, server_settings=patient) as pool,
        payments_at_the_gate(bank) as payments,
    ):
        yield Rounds(bank, pool, payments)
