"""Executes calls that cannot be part of a batch, each separately, on a few connections.

Calls with the same key, such as an account, run one at a time. So a row that stays locked occupies
one connection, and the others are free for calls about other rows.
"""

import asyncio
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.kernel.errors import AccountBusy

CALLS_MAX = 64
"""The largest number of calls of one key, waiting or running; further ones are refused."""


@dataclass(slots=True)
class _Line:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    calls: int = 0
    is_busy: bool = False
    """Whether a call's row was locked for too long. The waiting calls would meet the same lock."""


class LoneCalls:
    """The calls of one process that run alone."""

    def __init__(self, places: int) -> None:
        """`places` limits the calls that run at once; each takes a connection of the pool."""
        self._places = asyncio.Semaphore(places)
        self._lines: dict[Hashable, _Line] = {}

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncGenerator[None]:
        """Wait until it is this call's turn among the calls with its key.

        The block raises AccountBusy when its row stays locked. Then all calls that wait for the key
        raise it too, and later calls try again.
        """
        line = self._lines.setdefault(key, _Line())
        if line.calls >= CALLS_MAX:
            raise AccountBusy
        line.calls += 1
        try:
            async with line.turn:
                if line.is_busy:
                    raise AccountBusy
                async with self._places:
                    yield
        except AccountBusy:
            line.is_busy = True
            self._forget(key, line)
            raise
        finally:
            line.calls -= 1
            if not line.calls:
                self._forget(key, line)

    def _forget(self, key: Hashable, line: _Line) -> None:
        if self._lines.get(key) is line:
            del self._lines[key]
