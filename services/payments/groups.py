"""Calls that come together are carried out together: one statement and one commit for all.

A call that comes alone goes at once. While a group is under way, and for a moment after it began,
the calls that come form the next one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Groups(Generic[Item, Result]):
    """Groups the concurrent calls of one process."""

    def __init__(
        self,
        perform: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        every_s: float,
        items_max: int,
    ) -> None:
        """`perform` returns a result for each item, in their order; groups begin `every_s` apart.

        What it raises, each caller of the group gets.
        """
        self._perform = perform
        self._every_s = every_s
        self._items_max = items_max
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """Carry out one call, with whatever others come."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            begun = loop.time()
            group = self._waiting[: self._items_max]
            del self._waiting[: self._items_max]
            await self._carry_out(group)
            rest_s = begun + self._every_s - loop.time()
            if rest_s > 0:
                await asyncio.sleep(rest_s)

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
