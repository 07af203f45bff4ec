"""The whole product, run in rounds: many transfers at once, each with a fate of its own.

Those that need as many banking days to pass go together, because the clearing house has one
clock. In the rounds of crashes all are brought to their commits and one kill -9 hits them all.
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

from sandbox.seed import people, planting
from sandbox.seed.people import Deposit, Person
from tests.chaos.product.books import require_right
from tests.chaos.product.faults import CRASH, LIVE
from tests.chaos.product.gate import Hold
from tests.chaos.product.processes import Payments, payments_at_the_gate
from tests.chaos.product.rows import STEPS, Step
from tests.chaos.product.transfer_run import OPENING, TransferRun
from tests.e2e.bank import Bank, Customer

AT_ONCE = 40
"""Transfers that are on their way at the same time."""
SUPERUSER_CONNECTIONS = 16


@dataclass(frozen=True)
class Case:
    """One cell of the product."""

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
    """What became of each case: None, or what was wrong."""

    wrong: dict[str, BaseException | None] = field(default_factory=dict)
    verdict: dict[str, object] = field(default_factory=dict)


class Rounds:
    """Runs cases on one bank."""

    def __init__(self, bank: Bank, superuser: asyncpg.Pool, payments: Payments) -> None:
        self._bank = bank
        self.superuser = superuser
        self.payments = payments
        self.outcomes = Outcomes()

    async def all(self, cases: Sequence[Case]) -> None:
        """Run every case that can be driven; one that cannot fails."""
        drivable: list[Case] = []
        for case in cases:
            try:
                _ = case.step.way
            except KeyError as error:
                self.outcomes.wrong[case.name] = error
            else:
                drivable.append(case)
        named = [(case.step, case.name) for case in drivable]
        opened = await self.open_runs(named, [OPENING] * len(named))
        runs = dict(zip(drivable, opened, strict=True))
        for days in sorted({case.step.way.days for case in drivable}):
            mine = {case: run for case, run in runs.items() if case.step.way.days == days}
            live = {case: run for case, run in mine.items() if case.fault != CRASH}
            crashed = {case: run for case, run in mine.items() if case.fault == CRASH}
            if live:
                await self._round(live, days=days)
            if crashed:
                await self._round(crashed, days=days, crash=True)

    async def open_runs(
        self, named: Sequence[tuple[Step, str]], opening: Sequence[int]
    ) -> list[TransferRun]:
        """Open a customer for each transfer, named by its memo, with what it holds at first."""
        mark = f"{os.getpid()}-{uuid.uuid4().hex[:6]}"
        names = [f"product-{mark}-{number}" for number in range(len(named))]
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

    async def _round(
        self, runs: dict[Case, TransferRun], *, days: int, crash: bool = False
    ) -> None:
        await self.payments.stand_in(workers=1 if crash else 2)
        holds = {case: run.watch.hold(case.step.name, case.when) for case, run in runs.items()}
        if days:
            await self._bank.control("ach", "POST", "/control/webhooks/hold")
        if crash or days:
            await self._each(runs, lambda case: runs[case].begin())
        if days:
            body = {"banking_days": days, "drain_timeout_ms": 1}
            await self._bank.control("ach", "POST", "/control/clock/advance", body)
        if crash:
            await self._each(runs, lambda case: self._to_its_commit(runs[case], holds[case]))
            await self.payments.step_aside(signal.SIGKILL)
        else:
            began = days > 0
            await self._each(
                runs, lambda case: self._live(case, runs[case], holds[case], began=began)
            )
        if days:
            await self._bank.release_notices()
        await self._each(runs, lambda case: runs[case].end())
        await self._each(runs, lambda case: require_right(runs[case]))
        if not crash:
            await self.payments.step_aside()

    async def _each(
        self, runs: dict[Case, TransferRun], act: Callable[[Case], Awaitable[None]]
    ) -> None:
        """Do something with each case that is still right; note what goes wrong."""
        at_once = asyncio.Semaphore(max(AT_ONCE, len(runs) // 2))

        async def one(case: Case) -> None:
            if self.outcomes.wrong.get(case.name) is not None:
                return
            async with at_once:
                (wrong,) = await asyncio.gather(act(case), return_exceptions=True)
            self.outcomes.wrong[case.name] = wrong

        await asyncio.gather(*(one(case) for case in runs))

    async def _to_its_commit(self, run: TransferRun, hold: Hold) -> None:
        await run.go_on()
        await run.until(lambda: bool(hold.caught), run.cause)

    async def _live(self, case: Case, run: TransferRun, hold: Hold, *, began: bool) -> None:
        if not began:
            await run.begin()
        await self._to_its_commit(run, hold)
        await LIVE[case.fault](run, hold)


@asynccontextmanager
async def rounds_on(bank: Bank) -> AsyncGenerator[Rounds]:
    """Have all that a product needs."""
    async with (
        asyncpg.create_pool(bank.stack.dsn("bp_write"), max_size=SUPERUSER_CONNECTIONS) as pool,
        payments_at_the_gate(bank) as payments,
    ):
        yield Rounds(bank, pool, payments)
