"""Wakes workers of payments when a lease ends or a notice is kept.

Production polls every second. Here a poll that would find nothing is skipped, so a quiet day costs
nothing. When the same transfer stays due after many polls, the polls become ever rarer.
"""

import asyncio
from collections.abc import Sized
from datetime import datetime

from lab.simulator.clock import DAY_S
from lab.simulator.context import Context
from lab.simulator.processes import SKEW_S_MAX, Process
from lab.simulator.stores.leases import Leases

POLLS_WITHOUT_PROGRESS = 60
"""The first polls, this many, are a second apart, as in production. Later ones are rarer."""

EXTRA_WAIT_S_MAX = 3_600.0


class Wakeups:
    """The waiting workers, and the latest time at which each wakes up."""

    def __init__(self, context: Context) -> None:
        self._loop = context.loop
        self._clock = context.clock
        self._for_leases: list[asyncio.Future[None]] = []
        self._for_notices: list[asyncio.Future[None]] = []
        self._for_reviews: list[asyncio.Future[None]] = []
        self._looks_at = float("inf")
        self._without_progress: dict[int, tuple[datetime | None, int]] = {}
        """Process -> the earliest due time at its last poll, and how many polls found it."""

    async def until_due(self, process: Process, pending: Leases) -> None:
        """Wait until a pending transfer's lease has ended, by this process's clock."""
        extra_s = self._extra_wait_s(process, pending)
        while (wait_s := await self._wait_s(process, pending)) > 0 or extra_s:
            wait_s, extra_s = max(wait_s, extra_s), 0.0
            self._looks_at = min(self._looks_at, self._loop.now_s + wait_s)
            await self._until_woken(self._for_leases, wait_s)

    def _extra_wait_s(self, process: Process, pending: Leases) -> float:
        """Return the extra wait after many polls that found the same transfer due."""
        due = pending.next_due()
        before, looks = self._without_progress.get(process.entity, (None, 0))
        looks = looks + 1 if due is not None and due == before else 0
        self._without_progress[process.entity] = due, looks
        if looks < POLLS_WITHOUT_PROGRESS:
            return 0.0
        return min(EXTRA_WAIT_S_MAX, 2.0 ** min(looks - POLLS_WITHOUT_PROGRESS, 12))

    async def until_unsettled(self, process: Process, unsettled: Leases) -> None:
        """Wait until a submitted transfer's notice is overdue, or a return window has ended. These
        times are known days in advance."""
        while (wait_s := await self._wait_s(process, unsettled)) > 0:
            await self._loop.pause(min(wait_s, DAY_S / 8))

    async def _wait_s(self, process: Process, leases: Leases) -> float:
        """Return the time until a transfer is due; 0 if one is due already."""
        await process.gate()
        due, now = leases.next_due(), self._clock.process_now()
        if due is None:
            return DAY_S
        return 0.0 if due < now else min(DAY_S, (due - now).total_seconds() + 0.001)

    async def until_kept(self, process: Process, kept: Sized) -> None:
        """Wait until there is a kept notice that is not applied."""
        while not kept:
            await self._until_woken(self._for_notices, DAY_S)
        await process.gate()

    async def until_decided(self, process: Process, unreported: Sized) -> None:
        """Wait until there is a reviewer's decision that is not carried out."""
        while not unreported:
            await self._until_woken(self._for_reviews, DAY_S)
        await process.gate()

    async def _until_woken(self, wakers: "list[asyncio.Future[None]]", wait_s: float) -> None:
        waker = self._loop.create_future()
        wakers.append(waker)
        timer = self._loop.call_later(max(wait_s, 0.001), _wake, waker)
        try:
            await waker
        finally:
            timer.cancel()

    def leased(self, until: datetime) -> None:
        """Wake the workers if a lease ends before they look again, by the fastest clock."""
        ends_s = (until - self._clock.start).total_seconds() - SKEW_S_MAX
        if ends_s < self._looks_at:
            self._looks_at = float("inf")
            _wake_all(self._for_leases)

    def kept(self) -> None:
        """Wake the workers that apply kept notices."""
        _wake_all(self._for_notices)

    def decided(self) -> None:
        """Wake the workers that carry out what reviewers decided."""
        _wake_all(self._for_reviews)


def _wake_all(wakers: "list[asyncio.Future[None]]") -> None:
    woken, wakers[:] = wakers[:], []
    for waker in woken:
        _wake(waker)


def _wake(waker: "asyncio.Future[None]") -> None:
    if not waker.done():
        waker.set_result(None)
