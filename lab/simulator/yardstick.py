"""A fixed piece of Python work, timed with the worlds, so that costs on different hosts are
comparable.

It does the typical work of a world: timers in a heap, rows in dictionaries, generators that are
resumed, short-lived small objects. It uses no code of the simulator, so changes of the simulator do
not change it.
"""

import heapq
import random
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

STEPS = 12_000
TASKS = 64


@dataclass(frozen=True, slots=True)
class _Row:
    key: int
    state: str
    amount: int


def yardstick_cpu_s() -> float:
    """Return the CPU seconds that the fixed work costs in this process now."""
    began_s = time.process_time()
    _work()
    return time.process_time() - began_s


def cost_in_yardsticks(costs: Sequence[tuple[float, float]]) -> float:
    """Return the total cost of several pieces of work, in yardsticks.

    Each pair has the CPU seconds of one piece and of the yardstick that the same process timed with
    it. Another process that uses the CPU caches slows both.
    """
    return sum(work_s / yardstick_s for work_s, yardstick_s in costs)


def _work() -> int:
    randomness = random.Random(1)
    rows: dict[int, _Row] = {}
    tasks = [_task(number, rows) for number in range(TASKS)]
    timers: list[tuple[float, int, int]] = []
    for number, task in enumerate(tasks):
        next(task)
        heapq.heappush(timers, (randomness.random(), number, number))
    for step in range(STEPS):
        now, _, number = heapq.heappop(timers)
        wait = tasks[number].send(step)
        heapq.heappush(timers, (now + wait + randomness.random(), TASKS + step, number))
    return len(rows)


def _task(number: int, rows: dict[int, _Row]) -> Generator[float, int, None]:
    step = yield 0.0
    while True:
        key = number * STEPS + step
        rows[key] = _Row(key, "DEBITED", step)
        row = rows[key]
        rows[key] = _Row(row.key, f"{row.state}-{step % 7}", row.amount + 1)
        rows.pop(key - 3 * TASKS, None)
        step = yield float(step % 5)
