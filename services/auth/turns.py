"""Calls that wait for their turn, first come, first served; how many run at once may change."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack


class Turns:
    """A semaphore whose size is asked for at each turn. It belongs to one event loop."""

    def __init__(self, at_once: Callable[[], int]) -> None:
        """`at_once` returns how many calls may run now; at least one."""
        self._at_once = at_once
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for a turn; end it with `give`. A cancelled call leaves the queue."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        with ExitStack() as failed:
            failed.callback(self._leave, turn)
            self._start()
            await turn
            failed.pop_all()

    def _leave(self, turn: asyncio.Future[None]) -> None:
        """End a call that gets no turn, or whose turn came in the moment of its cancellation."""
        if turn.done() and not turn.cancelled():
            self.give()
        elif turn in self._waiting:
            self._waiting.remove(turn)

    def give(self) -> None:
        """End a turn."""
        self._running -= 1
        self._start()

    def _start(self) -> None:
        while self._waiting and self._running < self._at_once():
            turn = self._waiting.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)
