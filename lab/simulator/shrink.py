"""Shrinks a failing world: first fewer operations, then fewer faults, with the same broken rule.

Delta debugging (Zeller and Hildebrandt, 2002): leave out halves, quarters, eighths … and keep
what still fails, until nothing more can be left out or the time is up.
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
    """The broken rule of a world, with the operations and faults that reproduce it."""

    seed: int
    operations: tuple[int, ...]
    faults: tuple[Fault, ...] | None
    """The faults that happen; None for all faults of the seed."""
    text: str
    trace: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The broken invariant, without the ids."""
        return self.text.partition(":")[0]

    def command(self) -> str:
        """Return the command that replays the failure."""
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
    """Run a world once. Return its failure, or None, and the world itself."""
    world = World(seed, operations, allowed=faults, tracing=tracing)
    world.run()
    if world.history.broken is None:
        return None, world
    injected = None if faults is None else tuple(faults)
    text, trace = world.history.broken, tuple(world.trace)
    return Failure(seed, tuple(operations), injected, text, trace), world


def shrunk(failure: Failure, seconds: float = SHRINK_S) -> Failure:
    """Return the smallest failure of the same rule that is found within `seconds`."""
    end = time.monotonic() + seconds

    def fails(operations: Sequence[int], faults: Sequence[Fault] | None) -> bool:
        found, _ = outcome(failure.seed, operations, faults)
        return found is not None and found.rule == failure.rule

    operations = least(failure.operations, lambda some: fails(some, None), end)
    _, world = outcome(failure.seed, operations)
    faults: Sequence[Fault] = tuple(world.randomness.injected)
    if fails(operations, faults):
        faults = least(faults, lambda some: fails(operations, some), end)
        operations = least(operations, lambda some: fails(some, faults), end)
    found, _ = outcome(failure.seed, operations, faults, tracing=True)
    return found if found is not None else failure


def least(
    items: Sequence[Item], fails: Callable[[Sequence[Item]], bool], end: float
) -> Sequence[Item]:
    """Return a subset of the items that still fails, but not without any one of its items."""
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
