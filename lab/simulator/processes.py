"""Processes of the simulated machine: they crash, freeze and resume, and their clocks differ.

A process acts on the world only through ports (database, partners, broker), and every port waits at
the process's gate: a dead process stops there forever, a frozen one until it thaws. So a process
can crash or freeze between any two steps, without help from its code.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

from lab.simulator.loop import VirtualLoop

ENTITY: ContextVar[int] = ContextVar("entity", default=0)
"""The number of the client's operation or of the process for which the running task works."""

SKEW_S: ContextVar[float] = ContextVar("skew_s", default=0.0)
"""Seconds by which the running process's clock is ahead."""

SKEW_S_MAX = 60.0
"""Two clocks of the bank differ by two minutes at most."""


class Process:
    """One incarnation of a process. After a crash, a new incarnation replaces it."""

    def __init__(self, loop: VirtualLoop, name: str, entity: int, skew_s: float) -> None:
        self.name = name
        self.entity = entity
        self.alive = True
        self.skew_s = skew_s
        self._loop = loop
        self._frozen_until = 0.0

    def spawn(self, work: Coroutine[Any, Any, Any], entity: int | None = None) -> asyncio.Task[Any]:
        """Start a task of this process."""
        context = copy_context()
        context.run(ENTITY.set, self.entity if entity is None else entity)
        context.run(SKEW_S.set, self.skew_s)
        return self._loop.create_task(work, context=context)

    def crash(self) -> None:
        """End the process as kill -9 does: none of its tasks acts again."""
        self.alive = False

    def freeze(self, seconds: float) -> None:
        """Stop the process for a while, as SIGSTOP does. When it continues, its state is stale."""
        self._frozen_until = self._loop.now_s + seconds

    def runs(self) -> bool:
        """Return whether the process is neither dead nor frozen."""
        return self.alive and self._frozen_until <= self._loop.now_s

    async def gate(self) -> None:
        """Wait until the process may act: at once, after a freeze, or never if it is dead."""
        # Virtual time: the wait costs nothing and may be lengthened meanwhile.
        while self._frozen_until > self._loop.now_s:  # noqa: ASYNC110
            await asyncio.sleep(self._frozen_until - self._loop.now_s)
        if not self.alive:
            await self.gone()

    async def gone(self) -> None:
        """Wait forever: a task of a dead process never continues."""
        await self._loop.create_future()
