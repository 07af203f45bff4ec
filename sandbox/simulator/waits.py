"""What processes wait for: a lease that ends, a notice that is kept.

Production looks every second; a look that would find nothing is left out here, so that a quiet day
costs nothing. Nor does a day on which what is due stays due, whatever is done: looks in vain come
ever more seldom.
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

LOOKS_IN_VAIN = 60
"""So many follow each other a second apart, as in production."""

VAIN_WAIT_S_MAX = 3_600.0


class Waits:
    """Who waits, and until when at most."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._for_leases: list[asyncio.Future[None]] = []
        self._for_notices: list[asyncio.Future[None]] = []
        self._looks_at = float("inf")
        self._in_vain: dict[int, tuple[datetime | None, int]] = {}
        """Process -> the longest due when it last looked, and how often it has looked for it."""

    async def until_due(self, process: Process) -> None:
        """Wait until a pending transfer's lease has ended, by this process's clock."""
        vain_s = self._vain_s(process)
        while (wait_s := await self._wait_s(process, self._world.payments.pending)) > 0 or vain_s:
            wait_s, vain_s = max(wait_s, vain_s), 0.0
            self._looks_at = min(self._looks_at, self._world.loop.now_s + wait_s)
            await self._until_woken(self._for_leases, wait_s)

    def _vain_s(self, process: Process) -> float:
        """Return how long to look away from what this process has looked at often, in vain."""
        due = self._world.payments.pending.next_due()
        before, looks = self._in_vain.get(process.entity, (None, 0))
        looks = looks + 1 if due is not None and due == before else 0
        self._in_vain[process.entity] = due, looks
        if looks < LOOKS_IN_VAIN:
            return 0.0
        return min(VAIN_WAIT_S_MAX, 2.0 ** min(looks - LOOKS_IN_VAIN, 12))

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
