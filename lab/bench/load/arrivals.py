"""When an open run sends its requests. Callers are independent, so this is a Poisson process.

The seed is fixed, so two runs get the same arrivals. Pure.
"""

from __future__ import annotations

import random

SEED = 20260102


def poisson(per_s: float, seconds: float, seed: int = SEED) -> list[float]:
    """Return the moments in seconds after the start, `per_s` of them a second on average."""
    if per_s <= 0:
        raise ValueError(f"arrivals need a rate above zero, not {per_s}")
    drawn = random.Random(seed)
    moments: list[float] = []
    at = drawn.expovariate(per_s)
    while at < seconds:
        moments.append(at)
        at += drawn.expovariate(per_s)
    return moments
