"""One run: load and scheduled faults, healing, settlement, then the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from lab.chaos.breaking import Breaker
from lab.chaos.expected_balances import TERMINAL, Difference, Row, compare_with_books
from lab.chaos.healing import BREAKER_S_MAX, CALLER, HEALED_WITHIN_S, Watch
from lab.chaos.load import Load
from lab.chaos.logins import Logins
from lab.chaos.report import InjectedFault, Outcome
from lab.chaos.schedule import CLEARING_HOUSE, Fault, Roster, schedule
from ops.waiting import until
from sandbox.client import BankClient
from sandbox.stack.testing import RunningStack
from services.chassis.postgres import Queries, load_queries
from services.payments.state import State

SETTLED_WITHIN_S = BREAKER_S_MAX + 60.0
"""The longest time of an open breaker, plus a minute in which every saga retries."""
LATE_RETURN_DAYS = 6
SENT = TERMINAL | {State.SUBMITTED.name}

Tell = Callable[[str], None]


def roster(stack: RunningStack) -> Roster:
    """Return all processes of the stack. A new process is included without registration."""
    rows = stack.nodes().values()
    return Roster(tuple(row["name"] for row in rows if row["kind"] == "process"))


async def run(
    stack: RunningStack,
    seed: int,
    seconds: float,
    tell: Tell = print,
    *,
    close_breakers: bool = False,
    healed_within_s: float = HEALED_WITHIN_S,
) -> Outcome:
    """Run the schedule of a seed on a running stack. `tell` gets a line for each fault as it ends.

    With `close_breakers`, the breaker to the clearing house is closed early, once all parts are
    ready and a transfer was accepted. `healed_within_s` is the limit on the documented host. It
    scales with the host.
    """
    bank = BankClient(stack)
    try:
        run_ = _Run(bank, seed, seconds, tell, close_breakers)
        return await run_.to_the_end(healed_within_s)
    finally:
        await bank.close()


class _Run:
    def __init__(
        self, bank: BankClient, seed: int, seconds: float, tell: Tell, close_breakers: bool
    ) -> None:
        self._bank = bank
        self._seed = seed
        self._seconds = seconds
        self._tell = tell
        self._close_breakers = close_breakers
        self._load = Load(bank, seed)
        self._logins = Logins(bank)
        self._breaker = Breaker(bank, self._load)
        self._injected: list[InjectedFault] = []

    async def to_the_end(self, healed_within_s: float) -> Outcome:
        bank, load = self._bank, self._load
        parts = await asyncio.to_thread(roster, bank.stack)
        faults = schedule(self._seed, self._seconds, parts)
        self._tell(f"seed {self._seed}: {len(faults)} faults in {self._seconds:g} s")
        await load.open()
        arriving = asyncio.create_task(load.run(self._seconds))
        self._logins.start(self._seconds)
        healed = False
        try:
            ended_s = await self._inject_all(faults)
            days = self._two_banking_days
            watch = Watch(bank, load, ended_s, self._let_through, days, healed_within_s)
            healing = await watch.until_well()
            await arriving
            healed = True
        finally:
            arriving.cancel()
            if not healed:
                self._logins.stop()
            await self._repair(parts)
        begun_s = time.monotonic()
        await load.finish(SETTLED_WITHIN_S)
        wrong_logins = await self._logins.finish()
        await self._settle()
        settled_s = time.monotonic() - begun_s
        verdict = await bank.judged()
        return Outcome(
            seed=self._seed,
            seconds=self._seconds,
            injected=self._injected,
            orders=load.orders,
            answers=load.answers + self._logins.answers,
            skipped=load.skipped,
            healing=healing,
            settled_s=settled_s,
            differences=[*await self._compare_with_books(), *wrong_logins],
            verdict=verdict,
        )

    async def _inject_all(self, faults: tuple[Fault, ...]) -> float:
        """Inject each fault at its time. Return the monotonic time when the last one ended."""
        begun_s = time.monotonic()

        async def inject(fault: Fault) -> None:
            await asyncio.sleep(max(0.0, begun_s + fault.at_s - time.monotonic()))
            injected = InjectedFault(fault, await self._breaker.inject(fault))
            self._injected.append(injected)
            self._tell(injected.line())

        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                tasks.create_task(inject(fault))
        self._injected.sort(key=lambda one: one.fault.at_s)
        return time.monotonic()

    async def _repair(self, parts: Roster) -> None:
        """Clear the faults of every partner, and make the clearing house send all held and failed
        notices."""
        try:
            for partner in parts.partners:
                await self._bank.clear_faults(partner)
            if CLEARING_HOUSE in parts.partners:
                await self._tell_notices()
        except aiohttp.ClientError as error:
            self._tell(f"the partners were not repaired: {error!r}")

    async def _tell_notices(self) -> None:
        await self._bank.control(CLEARING_HOUSE, "POST", "/control/webhooks/release")
        body = {"dead": True}
        await self._bank.control(CLEARING_HOUSE, "POST", "/control/webhooks/redeliver", body)

    async def _let_through(self) -> None:
        if self._close_breakers:
            await asyncio.to_thread(self._bank.stack.restart, f"{CALLER}-sidecar")

    async def _two_banking_days(self) -> None:
        await self._pass(2, drain_ms=0)

    async def _pass(self, days: int, drain_ms: int) -> None:
        """Advance the clearing house by banking days, and wait up to `drain_ms` for its notices."""
        body = {"banking_days": days, "drain_timeout_ms": drain_ms}
        await self._bank.control(CLEARING_HOUSE, "POST", "/control/clock/advance", body)

    async def _settle(self) -> None:
        """Let every transfer reach a final state: submission, then banking days, then late returns.

        The comparison with the books reports each transfer that has no final state in time.
        """
        try:
            await self._until(SENT)
            for days in (2, LATE_RETURN_DAYS):
                await self._pass(days, drain_ms=30_000)
                await self._tell_notices()
            await self._until(TERMINAL)
        except (TimeoutError, aiohttp.ClientError) as error:
            self._tell(f"the transfers did not settle: {error!r}")

    async def _until(self, states: frozenset[str]) -> None:
        customers = list({order.customer_id for order in self._load.orders})

        async def reached() -> bool:
            sql, wanted = _sql().unsettled, sorted(states)
            return not await self._ask(lambda one: one.fetchval(sql, customers, wanted))

        await until(reached, SETTLED_WITHIN_S, "every transfer reaches the expected state")

    async def _compare_with_books(self) -> list[Difference]:
        load = self._load
        customers = list({order.customer_id for order in load.orders})
        rows = await self._ask(lambda c: c.fetch(_sql().transfers, customers))
        held = await self._ask(lambda c: c.fetch(_sql().balances, list(load.opened)))
        books = [Row(**dict(row)) for row in rows]
        return compare_with_books(load.orders, books, load.opened, dict(held))

    async def _ask(self, question: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        connection = await asyncpg.connect(self._bank.stack.dsn("bp_write", "bp_judge"))
        try:
            return await question(connection)
        finally:
            await connection.close()


def _sql() -> Queries:
    return load_queries(Path(__file__).parent / "sql" / "rows.sql")
