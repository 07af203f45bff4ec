"""An event loop whose time is a number: when nothing is ready it jumps to the next timer.

Production's coroutines run on it unchanged. There are no sockets and no threads, so one seed gives
one order of everything.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any

_RESOLUTION_S = 1e-6


class Stalled(RuntimeError):
    """Everything waits and no timer is set: nothing can ever happen again."""


class _Jumps:
    """Stands where a loop has its selector: instead of waiting it moves the time."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> tuple[()]:
        if timeout is None:
            raise Stalled
        self._loop.now_s += timeout
        return ()


class VirtualLoop(asyncio.BaseEventLoop):
    """Seconds since the world began stand in `now_s`."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._clock_resolution = _RESOLUTION_S
        self._selector = _Jumps(self)
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        """Return the virtual time."""
        return self.now_s

    def _process_events(self, _event_list: object) -> None:
        """Take what the selector found: nothing, ever."""

    def _write_to_self(self) -> None:
        """Wake the loop from another thread: there is none."""

    def spawn(self, work: Coroutine[Any, Any, Any], name: int = 0) -> "asyncio.Task[Any]":
        """Start a task of its own context, as another process would."""
        return self.create_task(work, name=str(name), context=copy_context())

    def _check_closed(self) -> None:
        """Let what is swept away at the end say what it likes: nobody hears it."""
