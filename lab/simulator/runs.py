"""Runs many worlds in several processes. Their seeds count up from the first.

The first failing world ends the run, and is shrunk before the report.
"""

import gc
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lab.simulator.shrink import Failure, outcome, shrunk
from lab.simulator.yardstick import cost_in_yardsticks, yardstick_cpu_s

WORLD_OPERATIONS = 2000
"""Transfers of one world: about fifty bursts in three days."""

GARBAGE_EVERY = 50_000


@dataclass(frozen=True, slots=True)
class Lived:
    """The result of one world."""

    seed: int
    orders: int
    states: Counter[str]
    faults: Counter[str]
    steps: int
    events: int
    days: float
    cpu_s: float
    yardstick_cpu_s: float
    """CPU of the yardstick in the same process: the mean of a run before and a run after the
    world."""
    failure: Failure | None


@dataclass(slots=True)
class Report:
    """All worlds of a run."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """CPU of this process and of its worker processes, since the start."""
    worlds: list[Lived] = field(default_factory=list[Lived])
    failure: Failure | None = None

    def totals(self) -> dict[str, Any]:
        """Return the sums, as --json prints them."""
        states: Counter[str] = sum((one.states for one in self.worlds), Counter())
        faults: Counter[str] = sum((one.faults for one in self.worlds), Counter())
        return {
            "verdict": "FAILED" if self.failure else "PASSED",
            "transfers": sum(one.orders for one in self.worlds),
            "worlds": len(self.worlds),
            "simulated_days": round(sum(one.days for one in self.worlds), 1),
            "states": dict(sorted(states.items())),
            "steps": sum(one.steps for one in self.worlds),
            "events": sum(one.events for one in self.worlds),
            "faults": dict(sorted(faults.items())),
            "faults_in_all": sum(faults.values()),
            "wall_s": round(self.wall_s, 1),
            "cpu_s": round(self.cpu_s, 1),
            "cost_in_yardsticks": round(
                cost_in_yardsticks([(one.cpu_s, one.yardstick_cpu_s) for one in self.worlds])
            ),
        }


def live(seed: int, orders: int) -> Lived:
    """Run one world."""
    gc.set_threshold(GARBAGE_EVERY)
    before_s = yardstick_cpu_s()
    began_s = time.process_time()
    failure, world = outcome(seed, range(orders))
    cpu_s = time.process_time() - began_s
    states = Counter(row["state"] for row in world.payments.transfers.values())
    states["BOOKED"] = len(world.book_transfers.made)
    return Lived(
        seed=seed,
        orders=orders,
        states=states,
        faults=Counter(fault.point.name for fault in world.randomness.injected),
        steps=world.checker.steps,
        events=len(world.checker.audited),
        days=world.loop.now_s / 86_400,
        cpu_s=cpu_s,
        yardstick_cpu_s=(before_s + yardstick_cpu_s()) / 2,
        failure=failure,
    )


def run(transfers: int, seed: int, processes: int | None = None) -> Report:
    """Run as many worlds as the transfers need. Stop at the first that fails."""
    began = time.monotonic()
    report = Report()
    sizes = [WORLD_OPERATIONS] * (transfers // WORLD_OPERATIONS)
    if transfers % WORLD_OPERATIONS:
        sizes.append(transfers % WORLD_OPERATIONS)
    jobs = [(seed + number, size) for number, size in enumerate(sizes)]
    for lived in _lived(jobs, min(processes or os.cpu_count() or 1, len(jobs))):
        report.worlds.append(lived)
        if lived.failure is not None:
            report.failure = shrunk(lived.failure)
            break
    report.wall_s = time.monotonic() - began
    report.cpu_s = sum(os.times()[:4])
    return report


def _lived(jobs: list[tuple[int, int]], processes: int) -> Iterator[Lived]:
    if processes <= 1:
        yield from (live(*job) for job in jobs)
        return
    # The garbage collector need not scan the imported modules again, here or in a child.
    gc.freeze()
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        yield from pool.imap(_live, jobs)


def _live(job: tuple[int, int]) -> Lived:
    """Run one world in its own process, whose end frees all memory at once."""
    gc.disable()
    return live(*job)
