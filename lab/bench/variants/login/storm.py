"""Interbank transfers while 500 customers log in at once, compared with calm.

Transfers arrive at a fixed rate, so a slow answer does not reduce the load. A refused login waits
as the bank asks, and longer each time, as an app does.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from statistics import mean

from lab.bench.bench import Bench
from lab.bench.load import orders
from lab.bench.runs import Result
from sandbox.app import App
from sandbox.client import Answer

RATE_PER_S = 20.0
"""About a quarter of what the bank can make, so the transfers alone leave cores idle."""
WARM_UP_S = 2.0
SECONDS = 20.0
SEED = 20260102
WAIT_S_MAX = 16.0


@dataclass(slots=True)
class Storm:
    """The answers of the logins of a storm."""

    logged_in: int = 0
    busy: int = 0
    """Answers that asked the caller to come later."""
    other: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0


async def measure(bench: Bench, apps: Sequence[App]) -> None:
    """Measure transfers before, during and after a storm."""
    calm = [await _transfers(bench, "calm")]
    async with storming(apps) as storm:
        stormy = await _transfers(bench, "storm")
    calm.append(await _transfers(bench, "calm.after"))
    if storm.other:
        bench.found.void.append(f"storm: {dict(storm.other)}")
    bench.found.figures |= {
        "storm.p99_ratio": round(_p99_ms(stormy) / mean(map(_p99_ms, calm)), 2),
        "storm.p50_ratio": round(
            stormy.percentile_ms(50) / mean(one.percentile_ms(50) for one in calm), 2
        ),
        "storm.logins_per_s": round(storm.logged_in / storm.seconds, 2),
        "storm.busy_answers": storm.busy,
    }


def _p99_ms(result: Result) -> float:
    return result.percentile_ms(99)


async def _transfers(bench: Bench, name: str) -> Result:
    load = bench.scale.arrivals(name, RATE_PER_S, WARM_UP_S, SECONDS)
    return await bench.measure(load, orders.interbank(bench.test_bench, bench.callers))


@asynccontextmanager
async def storming(apps: Sequence[App]) -> AsyncGenerator[Storm]:
    """Let all telephones log in at once during the block; stop those that are not done at the
    end."""
    storm, begun = Storm(), time.monotonic()
    randomness = random.Random(SEED)
    tasks = [asyncio.create_task(_persist(app, storm, randomness)) for app in apps]
    try:
        yield storm
    finally:
        storm.seconds = time.monotonic() - begun
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _persist(app: App, storm: Storm, randomness: random.Random) -> None:
    """Log in; retry later when the bank is busy."""
    factor = 1.0
    while True:
        answer = await app.login()
        if answer.status == 200:
            storm.logged_in += 1
            return
        if not _is_busy(answer):
            storm.other[f"{answer.status} {answer.reason}"] += 1
            return
        storm.busy += 1
        asked_s = float(answer.headers.get("retry-after", "1"))
        await asyncio.sleep(min(asked_s * factor, WAIT_S_MAX) * randomness.uniform(1, 2))
        factor *= 2


def _is_busy(answer: Answer) -> bool:
    """Return whether the bank had too many logins, or none of its threads in time."""
    return answer.status in (429, 503, 504)
