"""When the requests of an open run are to be sent: independent callers, so a Poisson process.

Fixed by its seed, so that two runs are offered the same. Pure.
"""

from __future__ import annotations

import random

SEED = 20260102


def poisson(per_s: float, seconds: float, seed: int = SEED) -> list[float]:
    """Return the moments, seconds after the start, at `per_s` on average."""
    if per_s <= 0:
        raise ValueError(f"arrivals need a rate above zero, not {per_s}")
    drawn = random.Random(seed)
    moments: list[float] = []
    at = drawn.expovariate(per_s)
    while at < seconds:
        moments.append(at)
        at += drawn.expovariate(per_s)
    return moments
