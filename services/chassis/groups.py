"""Calls that come together are carried out together: one statement and one commit for all.

A call that comes alone goes at once. Those that come within a moment after it form the next group,
which does not wait for the one before: a group that is held up holds up no other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

GROUPS_MAX = 4
"""Groups under way at once; each has a connection of the pool."""


EVERY_S = 0.01
"""What a call that finds another just gone waits at most for company."""

ITEMS_MAX = 64
"""Calls to a group."""


class Groups(Generic[Item, Result]):
    """Groups the concurrent calls of one process."""

    def __init__(
        self,
        perform: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        every_s: float = EVERY_S,
        items_max: int = ITEMS_MAX,
    ) -> None:
        """`perform` returns a result for each item, in their order; groups begin `every_s` apart.

        What it raises, each caller of the group gets.
        """
        self._perform = perform
        self._every_s = every_s
        self._items_max = items_max
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._worker: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """Carry out one call, with whatever others come."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            group = self._waiting[: self._items_max]
            del self._waiting[: self._items_max]
            task = asyncio.create_task(self._carry_out(group))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(self._every_s)
            if len(self._under_way) >= GROUPS_MAX:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _carry_out(self, group: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in group]
        (results,) = await asyncio.gather(self._perform(items), return_exceptions=True)
        if isinstance(results, BaseException):
            for _, future in group:
                if not future.done():
                    future.set_exception(results)
            return
        for (_, future), result in zip(group, results, strict=True):
            if not future.done():
                future.set_result(result)
