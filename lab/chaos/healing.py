"""How long the bank takes to be well again by itself after the last fault.

Well is three things, each with its time: every part is ready and says so when it is asked, a fresh
transfer is taken, and such a transfer goes to the clearing house and settles there.

Of all breakers only the clearing house's holds a fresh transfer back for long. While the fraud
API's is open, a small transfer goes on without a score. Those between services open for two
seconds at first, which the bank's own time to heal includes.
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
"""The product's target on the documented host; it is scaled for this one."""
WATCHED_S = 150.0
"""How long the bank is watched at least, so that a failure says how bad it is; it is scaled too."""
BREAKER_S_MAX = 300.0
"""An open breaker holds transfers back no longer than this: each opening lasts a minute on every
host, and one that opens for the sixth time in a row is a fault of the bank."""
OPENING_S = 60.0
"""How long one opening of a breaker lasts, on every host."""
PAUSE_S = 0.2
FRESH_EVERY_S = 1.0
"""Between two fresh transfers while the breaker holds them back."""
FRESH_WATCHED = 5
CALLER = "payments"
"""Who calls the clearing house."""
BREAKER = "cluster.partner/ach-network.example.outlier_detection.ejections_active"
ADMIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Healing:
    """Seconds from the end of the last fault until each thing was well; None: it never was."""

    ready_s: float | None = None
    """Every part was ready at one moment."""
    taken_s: float | None = None
    """A fresh transfer was taken: its money is safe."""
    settled_s: float | None = None
    """A fresh transfer had settled, two banking days having passed at the clearing house."""
    breaker_s: float = 0.0
    """The breaker before the clearing house was seen open last. It is open for a minute by
    contract: a transfer is taken meanwhile and goes on after it."""
    ill: tuple[str, ...] = ()
    """Parts that did not become ready."""
    limit_s: float = HEALED_WITHIN_S
    """Seconds that each thing may take here."""

    @property
    def ok(self) -> bool:
        """Whether all was in time; to settle, the time begins when the breaker lets it."""
        if self.ready_s is None or self.taken_s is None or self.settled_s is None:
            return False
        settled_s = self.settled_s - min(self.breaker_s, BREAKER_S_MAX)
        return max(self.ready_s, self.taken_s, settled_s) <= self.limit_s


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of the breaker before the clearing house, in seconds from the last fault."""

    open_s: float = 0.0
    """It was taken for open last at this time."""
    said_open_s: float | None = None
    """Its sidecar said last that it is open at this time; None after an answer that it is not."""

    def after(self, found: bool | None, at_s: float) -> Breaker:
        """Return what is known after an answer: open or not; None: the sidecar did not answer.

        A sidecar may not answer on a busy host. Its breaker then counts as it was, but only for
        as long as one opening lasts: a sidecar that is dead excuses nothing.
        """
        if found:
            return Breaker(at_s, at_s)
        if found is not None:
            return Breaker(self.open_s)
        if self.said_open_s is None or at_s - self.said_open_s > OPENING_S:
            return self
        return Breaker(at_s, self.said_open_s)


class _TooLateError(Exception):
    """The bank was looked at long enough."""


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
        """Return when the bank is well, or was not for a long time."""
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
        """Make fresh transfers until the clearing house takes one, and return that.

        A busy bank may answer before it has submitted, so the last few are looked at again.
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
    """Whether the caller's sidecar keeps requests from the clearing house; None: no answer."""
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
