"""Makes a failing world small: fewer operations first, then fewer faults, the same rule broken.

Delta debugging (Zeller and Hildebrandt, 2002): leave out halves, quarters, eighths … and keep
whatever still fails, until nothing can be left out or the time is over.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lab.simulator.randomness import Fault
from lab.simulator.world import World

Item = TypeVar("Item")
SHRINK_S = 90.0


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong in a world, and the least that it takes to see it."""

    seed: int
    operations: tuple[int, ...]
    faults: tuple[Fault, ...] | None
    """Those that strike; None for all that the seed has."""
    text: str
    trace: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The invariant that is broken, without the ids."""
        return self.text.partition(":")[0]

    def command(self) -> str:
        """Return what replays it."""
        operations = ",".join(map(str, self.operations))
        command = f"python -m lab.simulator --seed {self.seed} --operations {operations}"
        if self.faults is None:
            return command
        return f"{command} --faults {','.join(map(str, self.faults)) or 'none'}"


def outcome(
    seed: int,
    operations: Sequence[int],
    faults: Sequence[Fault] | None = None,
    *,
    tracing: bool = False,
) -> tuple[Failure | None, World]:
    """Run a world once; return what is wrong with it, if anything is, and the world itself."""
    world = World(seed, operations, allowed=faults, tracing=tracing)
    world.run()
    if world.history.broken is None:
        return None, world
    struck = None if faults is None else tuple(faults)
    text, trace = world.history.broken, tuple(world.trace)
    return Failure(seed, tuple(operations), struck, text, trace), world


def shrunk(failure: Failure, seconds: float = SHRINK_S) -> Failure:
    """Return the smallest failure of the same rule that is found in the time."""
    end = time.monotonic() + seconds

    def fails(operations: Sequence[int], faults: Sequence[Fault] | None) -> bool:
        found, _ = outcome(failure.seed, operations, faults)
        return found is not None and found.rule == failure.rule

    operations = least(failure.operations, lambda some: fails(some, None), end)
    _, world = outcome(failure.seed, operations)
    faults: Sequence[Fault] = tuple(world.randomness.struck)
    if fails(operations, faults):
        faults = least(faults, lambda some: fails(operations, some), end)
        operations = least(operations, lambda some: fails(some, faults), end)
    found, _ = outcome(failure.seed, operations, faults, tracing=True)
    return found if found is not None else failure


def least(
    items: Sequence[Item], fails: Callable[[Sequence[Item]], bool], end: float
) -> Sequence[Item]:
    """Return a part of the items that still fails and from which no one chunk can be left out."""
    if fails(()):
        return ()
    chunk = max(1, len(items) // 2)
    while True:
        reduced = False
        for start in range(0, len(items), chunk):
            if time.monotonic() > end:
                return items
            rest = (*items[:start], *items[start + chunk :])
            if rest and fails(rest):
                items, reduced = rest, True
                break
        if reduced:
            chunk = max(1, min(chunk, len(items) // 2))
        elif chunk == 1:
            return items
        else:
            chunk = max(1, chunk // 2)
