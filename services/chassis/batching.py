"""Saves concurrent calls in batches: one statement and one commit for all calls of a batch.

A call that arrives alone starts at once. Calls that arrive shortly after it form the next batch.
A batch does not wait for the one before it, so a slow batch does not delay the others.
"""

import asyncio
import contextvars
import copy
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.chassis.settings import ServiceSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

Begun = Callable[[], None]


def own_copy(error: BaseException) -> BaseException:
    """Return a copy of a batch's error for one caller. Each raise adds frames to an error's
    traceback and keeps them in memory."""
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001 - some classes cannot be called with their arguments
        return error
    copied.__cause__, copied.__context__ = error.__cause__, error.__context__
    copied.__suppress_context__ = error.__suppress_context__
    return copied.with_traceback(error.__traceback__)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of batches: size, time between starts, and number in flight."""

    interval_s: float = 0.01
    """Time between the starts of two batches; calls that arrive in between share a batch."""
    items_max: int = 64
    """The largest number of calls in one batch."""
    batches_max: int = 2
    """The largest number of batches in flight at once; each takes a connection of the pool."""

    @classmethod
    def of(cls, settings: ServiceSettings) -> "BatchLimits":
        """Return the limits in a service's settings."""
        return cls(
            settings.batch_interval_ms / 1000, settings.batch_items_max, settings.batches_max
        )


DEFAULT_BATCH_LIMITS = BatchLimits()


class Batcher(Generic[Item, Result]):
    """Puts the concurrent calls of one process into batches."""

    def __init__(
        self,
        perform: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        limits: BatchLimits = DEFAULT_BATCH_LIMITS,
    ) -> None:
        """`perform` returns one result for each item, in the same order. If it raises, every caller
        of the batch gets that error.
        """
        self._perform = perform
        self._limits = limits
        self._waiting: deque[tuple[Item, asyncio.Future[Result], Begun | None]] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._worker: asyncio.Task[None] | None = None
        self._context = contextvars.copy_context()

    async def submit(self, item: Item, begun: Begun | None = None) -> Result:
        """Carry out one call, in a batch with calls that arrive at the same time.

        `begun` is called when the batch starts. A call that is cancelled before that has no effect;
        a call that is cancelled later is still carried out, and only its result is lost.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future, begun))
        if self._worker is None or self._worker.done():
            # The batches do not run in the context of the first call: otherwise its ids would be in
            # log lines about other calls.
            self._worker = asyncio.create_task(self._work(), context=self._context.copy())
        return await future

    async def settle(self) -> None:
        """Wait until no batch is in flight, including batches that callers no longer wait for."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    async def _work(self) -> None:
        while batch := self._next_batch():
            task = asyncio.create_task(self._carry_out(batch))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)
            await asyncio.sleep(self._limits.interval_s)
            if len(self._in_flight) >= self._limits.batches_max:
                await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Take the next batch; skip items whose caller has already given up.

        After a stall there are many such items, and the time spent on them would make the other
        callers give up too.
        """
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(batch) < self._limits.items_max:
            item, future, begun = self._waiting.popleft()
            if not future.done():
                if begun is not None:
                    begun()
                batch.append((item, future))
        return batch

    async def _carry_out(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        items = [item for item, _ in batch]
        (results,) = await asyncio.gather(self._results(items), return_exceptions=True)
        if isinstance(results, BaseException):
            for _, future in batch:
                if not future.done():
                    future.set_exception(own_copy(results))
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _results(self, items: Sequence[Item]) -> Sequence[Result]:
        results = await self._perform(items)
        if len(results) != len(items):
            # The results may come from another service, and nothing tells which item's result is
            # missing.
            raise ValueError(f"{len(results)} results for {len(items)} calls")
        return results
