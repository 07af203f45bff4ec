"""What processes wait for: a lease that ends, a notice that is kept.

Production looks every second; a look that would find nothing is left out here, so that a quiet day
costs nothing.
"""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from sandbox.simulator.leases import Leases
from sandbox.simulator.processes import Process

if TYPE_CHECKING:
    from sandbox.simulator.world import World

DAY_S = 86_400.0
SKEW_S_MAX = 60.0
"""Two clocks of the bank are two minutes apart at most."""


class Waits:
    """Who waits, and until when at most."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._for_leases: list[asyncio.Future[None]] = []
        self._for_notices: list[asyncio.Future[None]] = []
        self._looks_at = float("inf")

    async def until_due(self, process: Process) -> None:
        """Wait until a pending transfer's lease has ended, by this process's clock."""
        while (wait_s := await self._wait_s(process, self._world.payments.pending)) > 0:
            self._looks_at = min(self._looks_at, self._world.loop.now_s + wait_s)
            await self._until_woken(self._for_leases, wait_s)

    async def until_unsettled(self, process: Process) -> None:
        """Wait until a submitted transfer's notice is overdue; that is known days ahead."""
        while (wait_s := await self._wait_s(process, self._world.payments.unsettled)) > 0:
            await self._world.loop.pause(min(wait_s, DAY_S / 8))

    async def _wait_s(self, process: Process, leases: Leases) -> float:
        """Return how long nothing will be due; 0 when something is."""
        await process.gate()
        due, now = leases.next_due(), self._world.process_now()
        if due is None:
            return DAY_S
        return 0.0 if due < now else min(DAY_S, (due - now).total_seconds() + 0.001)

    async def until_kept(self, process: Process) -> None:
        """Wait until a notice is kept that is not applied."""
        while not self._world.payments.kept:
            await self._until_woken(self._for_notices, DAY_S)
        await process.gate()

    async def _until_woken(self, wakers: "list[asyncio.Future[None]]", wait_s: float) -> None:
        waker = self._world.loop.create_future()
        wakers.append(waker)
        timer = self._world.loop.call_later(max(wait_s, 0.001), _wake, waker)
        try:
            await waker
        finally:
            timer.cancel()

    def leased(self, until: datetime) -> None:
        """Wake the workers if a lease ends before they look again, by the fastest clock."""
        ends_s = (until - self._world.start).total_seconds() - SKEW_S_MAX
        if ends_s < self._looks_at:
            self._looks_at = float("inf")
            _wake_all(self._for_leases)

    def kept(self) -> None:
        """Wake those who apply kept notices."""
        _wake_all(self._for_notices)


def _wake_all(wakers: "list[asyncio.Future[None]]") -> None:
    woken, wakers[:] = wakers[:], []
    for waker in woken:
        _wake(waker)


def _wake(waker: "asyncio.Future[None]") -> None:
    if not waker.done():
        waker.set_result(None)
