"""How long the bank takes to recover without help after the last fault.

It is healed when three conditions hold, each with its own time: every part answers that it is
ready, a new transfer is accepted, and a new transfer settles at the clearing house.

Only the circuit breaker to the clearing house delays a new transfer for long. While the breaker to
the fraud API is open, a small transfer continues without a score. Breakers between services open
for two seconds at first, which the time to heal includes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from lab.chaos.load import Load
from lab.chaos.orders import Order
from ops.waiting import scaled_s
from sandbox.client import BankClient
from sandbox.stack.testing import RunningStack
from services.payments.state import State

HEALED_WITHIN_S = 30.0
"""The product's target on the documented host. It scales with the host."""
WATCHED_S = 150.0
"""Keep watching at least this long after the last fault, so that a late recovery is measured. It
scales too."""
BREAKER_S_MAX = 300.0
"""The longest delay that an open breaker may cause: each opening lasts a minute on every host, and
a breaker that opens six times in a row is a fault of the bank."""
OPENING_S = 60.0
"""How long one opening of a breaker lasts, on every host."""
PAUSE_S = 0.2
FRESH_EVERY_S = 1.0
"""Pause between two new transfers while the breaker delays them."""
FRESH_WATCHED = 5
CALLER = "payments"
"""The service that calls the clearing house."""
BREAKER = "cluster.partner/ach-network.example.outlier_detection.ejections_active"
ADMIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Healing:
    """Seconds from the end of the last fault until each condition held. None if it never held."""

    ready_s: float | None = None
    """Seconds until all parts were ready at the same time."""
    taken_s: float | None = None
    """Seconds until a new transfer was accepted."""
    settled_s: float | None = None
    """Seconds until a new transfer settled, after two banking days at the clearing house."""
    breaker_s: float = 0.0
    """Time at which the breaker to the clearing house was last seen open. An opening lasts a minute
    by contract: transfers are accepted during it and continue afterwards."""
    ill: tuple[str, ...] = ()
    """Parts that did not become ready."""
    limit_s: float = HEALED_WITHIN_S
    """Seconds that each condition may take on this host."""

    @property
    def ok(self) -> bool:
        """Return whether each condition held in time. The time to settle starts at the breaker's
        close."""
        if self.ready_s is None or self.taken_s is None or self.settled_s is None:
            return False
        settled_s = self.settled_s - min(self.breaker_s, BREAKER_S_MAX)
        return max(self.ready_s, self.taken_s, settled_s) <= self.limit_s


@dataclass(frozen=True, slots=True)
class Breaker:
    """The observed state of the breaker to the clearing house. Times are seconds from the last
    fault."""

    open_s: float = 0.0
    """Last time at which the breaker counted as open."""
    said_open_s: float | None = None
    """Last time at which the sidecar reported it open; None after a report that it is closed."""

    def after(self, found: bool | None, at_s: float) -> Breaker:
        """Add a reading. `found`: open or not; None: the sidecar did not answer.

        A sidecar may not answer on a busy host. The breaker then keeps its last state, but for at
        most one opening: a dead sidecar is no excuse.
        """
        if found:
            return Breaker(at_s, at_s)
        if found is not None:
            return Breaker(self.open_s)
        if self.said_open_s is None or at_s - self.said_open_s > OPENING_S:
            return self
        return Breaker(at_s, self.said_open_s)


class _TooLateError(Exception):
    """Raised when the bank has been watched long enough."""


class Watch:
    """Watches one bank from the end of the last fault (`since_s`, monotonic)."""

    def __init__(
        self,
        bank: BankClient,
        load: Load,
        since_s: float,
        let_through: Callable[[], Awaitable[object]],
        pass_days: Callable[[], Awaitable[object]],
        within_s: float = HEALED_WITHIN_S,
    ) -> None:
        self._bank = bank
        self._load = load
        self._since_s = since_s
        self._let_through = let_through
        self._pass_days = pass_days
        self._limit_s = scaled_s(within_s)
        self._watched_s = max(scaled_s(WATCHED_S), self._limit_s)
        self._breaker = Breaker()
        self._ill: list[str] = []

    async def until_well(self) -> Healing:
        """Return when the bank is healed, or when it has been watched long enough."""
        found: list[float | None] = [None, None, None]
        steps = (self._all_ready, self._one_taken, self._one_settled)
        watching = asyncio.create_task(self._watch_breaker())
        try:
            for place, step in enumerate(steps):
                await step()
                found[place] = self._passed_s()
        except _TooLateError:
            pass
        finally:
            watching.cancel()
        return Healing(
            *found, breaker_s=self._breaker.open_s, ill=tuple(self._ill), limit_s=self._limit_s
        )

    def _passed_s(self) -> float:
        return time.monotonic() - self._since_s

    async def _pause(self, seconds: float = PAUSE_S) -> None:
        if self._passed_s() - min(self._breaker.open_s, BREAKER_S_MAX) > self._watched_s:
            raise _TooLateError
        await asyncio.sleep(seconds)

    async def _all_ready(self) -> None:
        while ill := await asyncio.to_thread(self._bank.stack.ill):
            self._ill = ill
            await self._pause()
        self._ill = []

    async def _one_taken(self) -> None:
        while not (await self._load.one()).taken_as:
            await self._pause()

    async def _one_settled(self) -> None:
        await self._let_through()
        submitted = await self._submitted()
        await self._pass_days()
        while await self._load.state(submitted) != State.COMPLETED.name:
            await self._pause()

    async def _submitted(self) -> Order:
        """Create transfers until the clearing house accepts one, and return that one.

        A busy bank may answer before it submits a transfer, so the newest few are checked again.
        """
        fresh: deque[Order] = deque(maxlen=FRESH_WATCHED)
        while True:
            fresh.append(await self._load.one())
            for order in fresh:
                if order.taken_as and await self._load.state(order) == State.SUBMITTED.name:
                    return order
            await self._pause(FRESH_EVERY_S)

    async def _watch_breaker(self) -> None:
        while True:
            found = await breaker_is_open(self._bank.stack)
            self._breaker = self._breaker.after(found, self._passed_s())
            await asyncio.sleep(PAUSE_S)


async def breaker_is_open(stack: RunningStack) -> bool | None:
    """Return whether the breaker to the clearing house is open. None if the sidecar does not
    answer."""
    admin = str(stack.home.run / CALLER / "admin.sock")
    query = {"filter": BREAKER.replace(".", r"\."), "format": "json"}
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path=admin),
                timeout=aiohttp.ClientTimeout(total=scaled_s(ADMIN_S)),
            ) as session,
            session.get("http://envoy/stats", params=query) as answer,
        ):
            stats = (await answer.json())["stats"]
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None
    return any(one.get("name") == BREAKER and one["value"] for one in stats)
