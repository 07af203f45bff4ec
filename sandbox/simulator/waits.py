"""What processes wait for: a lease that ends, a notice that is kept.

Production looks every second; a look that would find nothing is left out here, so that a quiet day
costs nothing.
"""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

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
        """Wait until a lease has ended: a look before that finds nothing, so it is left out."""
        while True:
            await process.gate()
            due = self._world.payments.next_due()
            if due is not None and due < self._world.process_now():
                return
            wait_s = (
                DAY_S if due is None else (due - self._world.process_now()).total_seconds() + 0.001
            )

            self._looks_at = min(self._looks_at, self._world.loop.now_s + wait_s)
            await self._until_woken(self._for_leases, wait_s)

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
