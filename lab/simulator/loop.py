"""An event loop with virtual time: when no callback is ready, time jumps to the next timer.

Production's coroutines run on it unchanged. There are no sockets and no threads, so one seed gives
one order of all events.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


class Stalled(RuntimeError):
    """All tasks wait and no timer is set, so the run can never continue."""


class _Handle(list[Any]):
    """A scheduled call: callback, arguments, context. A list, because a run makes millions."""

    def cancel(self) -> None:
        """Cancel the call."""
        self[0] = None

    def cancelled(self) -> bool:
        """Return whether the call was cancelled."""
        return self[0] is None


class VirtualLoop(asyncio.AbstractEventLoop):
    """An event loop with virtual time: `now_s` is the number of seconds since the world began."""

    def __init__(self, on_defect: Callable[[BaseException], None]) -> None:
        """`on_defect` gets each exception that a callback raised and no code caught."""
        self.now_s = 0.0
        self._on_defect = on_defect
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._timers_set = 0
        self._stopping = False

    def time(self) -> float:
        """Return the virtual time."""
        return self.now_s

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Call after the callbacks that are already ready."""
        handle = _Handle((callback, args, context))
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Call at a virtual time."""
        handle = _Handle((callback, args, context))
        self._timers_set += 1
        heapq.heappush(self._timers, (when, self._timers_set, handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        """Call after some seconds."""
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def pause(self, seconds: float) -> "asyncio.Future[Any]":
        """Return a future that is done after some seconds: like asyncio.sleep, in half the
        steps."""
        future: asyncio.Future[Any] = asyncio.Future(loop=self)
        self._timers_set += 1
        due = (self.now_s + seconds, self._timers_set, _Handle((_settle, (future,), None)))
        heapq.heappush(self._timers, due)
        return future

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        """Start a task."""
        return asyncio.Task(coro, loop=self, **options)

    def stop(self) -> None:
        """Return from `run` before the next callback."""
        self._stopping = True

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run until the work is done or `stop` is called; raise the work's exception if it
        fails."""
        task = self.create_task(work)
        task.add_done_callback(lambda _: self.stop())
        asyncio.events._set_running_loop(self)  # pyright: ignore[reportAttributeAccessIssue]
        try:
            self._run_until_stopped()
        finally:
            asyncio.events._set_running_loop(None)  # pyright: ignore[reportAttributeAccessIssue]
        if task.done():
            task.result()

    def _run_until_stopped(self) -> None:
        ready = self._ready
        while not self._stopping:
            if not ready:
                self._jump()
            callback, args, context = ready.popleft()
            if callback is None:
                continue
            try:
                if context is None:
                    callback(*args)
                else:
                    context.run(callback, *args)
            except Exception as error:  # noqa: BLE001 an event loop outlives its callbacks
                self._on_defect(error)

    def _jump(self) -> None:
        """Advance the time to the next timer, and make its callbacks ready."""
        timers = self._timers
        while timers and timers[0][2][0] is None:
            heapq.heappop(timers)
        if not timers:
            raise Stalled
        now_s = timers[0][0]
        # A timer that was set in the past is due now.
        self.now_s = now_s = max(now_s, self.now_s)
        ready = self._ready
        while timers and timers[0][0] <= now_s:
            ready.append(heapq.heappop(timers)[2])

    def get_debug(self) -> bool:
        """Return False: the loop has no debug mode."""
        return False

    def is_running(self) -> bool:
        """Return True: every caller runs on this loop."""
        return True

    def is_closed(self) -> bool:
        """Return False: tasks that are garbage-collected at the end may still make calls."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Ignore asyncio's reports, which are about garbage-collected tasks of dead processes."""


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
