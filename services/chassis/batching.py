"""Calls that come together are carried out together: one statement and one commit for all.

A call that comes alone goes at once. Those that come within a moment after it form the next group,
which does not wait for the one before: a group that is held up holds up no other.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.chassis.settings import ServiceSettings

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How large groups get."""

    interval_s: float = 0.01
    """Groups begin so far apart: what comes in between goes together."""
    items_max: int = 64
    """Most calls of one group."""
    batches_max: int = 2
    """Groups under way at once; each has a connection of the pool."""

    @classmethod
    def of(cls, settings: ServiceSettings) -> "BatchLimits":
        """Return what a service's settings say."""
        return cls(
            settings.batch_interval_ms / 1000, settings.batch_items_max, settings.batches_max
        )


DEFAULT_BATCH_LIMITS = BatchLimits()


class Batcher(Generic[Item, Result]):
    """Groups the concurrent calls of one process."""

    def __init__(
        self,
        perform: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        limits: BatchLimits = DEFAULT_BATCH_LIMITS,
    ) -> None:
        """`perform` returns a result for each item, in their order; each caller of a group gets
        what it raises.
        """
        self._perform = perform
        self._limits = limits
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Carry out one call, with whatever others come."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while group := self._next():
            task = asyncio.create_task(self._carry_out(group))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(self._limits.interval_s)
            if len(self._under_way) >= self._limits.batches_max:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _next(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Take the next group. After a stall those whose caller has left are many: work for them
        would make the present callers leave too."""
        group: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(group) < self._limits.items_max:
            item, future = self._waiting.popleft()
            if not future.done():
                group.append((item, future))
        return group

    async def _carry_out(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in group]
        (answered,) = await asyncio.gather(self._answered(items), return_exceptions=True)
        if isinstance(answered, BaseException):
            for _, future in group:
                if not future.done():
                    future.set_exception(answered)
            return
        for (_, future), result in zip(group, answered, strict=True):
            if not future.done():
                future.set_result(result)

    async def _answered(self, items: Sequence[Item]) -> Sequence[Result]:
        results = await self._perform(items)
        if len(results) != len(items):
            # Another service may have answered; nobody can tell which item has no result.
            raise ValueError(f"{len(results)} results for {len(items)} calls")
        return results
