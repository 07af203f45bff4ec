"""Objects that every part of a world may use.

A part's constructor takes the context and only the other parts that it needs. No part
imports `world.py`, which builds them all.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from lab.simulator.clock import Clock
from lab.simulator.loop import VirtualLoop
from lab.simulator.processes import Process
from lab.simulator.randomness import Randomness


@dataclass(frozen=True, slots=True)
class Context:
    """Time, randomness, ids, the trace, the verdict and a way to kill processes, shared by all."""

    loop: VirtualLoop
    """Virtual time: timers, pauses and tasks."""
    randomness: Randomness
    """Whether a fault happens here, and how long things take."""
    clock: Clock
    """The true time, and the time by the running process's clock."""
    new_id: Callable[..., uuid.UUID]
    """Returns a new UUIDv7; takes the shard, or None for any."""
    note: Callable[..., None]
    """Writes a line of the trace: a text with %s, and the facts to insert."""
    fail: Callable[..., None]
    """Reports a broken invariant: the rule, then the facts. It ends the run."""
    crash: Callable[[Process, str], Awaitable[None]]
    """Kills the process that awaits it, with the reason. The await never returns."""

    def watch(self, process: Process, work: Coroutine[Any, Any, Any]) -> None:
        """Run background work, which must not end while its process lives."""

        def ended(task: "asyncio.Task[Any]") -> None:
            if process.alive and not task.cancelled():
                self.fail("background work never ends", process.name, task.exception())

        process.spawn(work).add_done_callback(ended)
