"""Compares the speed of this host with the documented one by a fixed piece of work.

Times of a slow or busy host, divided by its slowness, are comparable with those of another host.
"""

from __future__ import annotations

import time
from collections.abc import Callable

DOCUMENTED_S = 0.030
"""Seconds of the work on the documented host (docs/performance.md) when it is quiet."""
_ROUNDS = 20
_ADDITIONS = 100_000


def slowness(clock: Callable[[], float] = time.thread_time) -> float:
    """Return how many times longer this host needs for the work than the documented one.

    By default this counts CPU; with `time.perf_counter` the wait for a free core counts too.
    """
    begun = clock()
    for _ in range(_ROUNDS):
        total = 0
        for number in range(_ADDITIONS):
            total += number
    return (clock() - begun) / DOCUMENTED_S
