"""Interbank transfers while 500 customers log in at once, compared with calm.

Transfers arrive at a fixed rate, so a slow answer does not reduce the load. The logins begin with
the measured time, so their first burst is measured, and the measured time ends when the last
customer has passed the first factor. A refused login waits as long as the bank asks, or a little
longer, as an app does.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from statistics import mean

import aiohttp

from lab.bench.bench import Bench
from lab.bench.load import orders
from lab.bench.runs import During, Result
from lab.bench.variants.login.patience import Patience
from sandbox.app import App
from sandbox.client import Answer

RATE_PER_S = 20.0
"""About a quarter of what the bank can make, so the transfers alone leave cores idle."""
WARM_UP_S = 10.0
"""The parts of the path of a transfer that did not work during the logins become warm."""
SECONDS = 40.0
STORM_S_MAX = 360.0
"""The storm ends earlier if all customers have passed the first factor."""
CREST_S = 10
"""The first seconds of a storm, in which all logins arrive, get a figure of their own."""


@dataclass(slots=True)
class Storm:
    """The answers of the logins of a storm."""

    logged_in: int = 0
    other: Counter[str] = field(default_factory=Counter[str])
    """Status and reason of the other errors."""
    seconds: float = 0.0
    patience: Patience = field(default_factory=Patience)

    def problems(self) -> list[str]:
        """Return reasons why the storm is void: errors, or no login succeeded."""
        errors = [f"storm: {count} x {what}" for what, count in self.other.most_common()]
        return errors or ([] if self.logged_in else ["storm: no customer logged in"])


async def measure(bench: Bench, apps: Sequence[App]) -> None:
    """Measure transfers before, during and after a storm."""
    storm = Storm()
    calm = [await _transfers(bench, "calm")]
    stormy = await _transfers(bench, "storm", storming(apps, storm))
    warm_up = int(stormy.load.warm_up_s)
    crest = stormy.outcome.slices[warm_up : warm_up + CREST_S]
    calm.append(await _transfers(bench, "calm.after"))
    bench.found.void += storm.problems()
    bench.found.figures |= {
        "storm.p99_ratio": round(_p99_ms(stormy) / mean(map(_p99_ms, calm)), 2),
        "storm.p50_ratio": round(
            stormy.percentile_ms(50) / mean(one.percentile_ms(50) for one in calm), 2
        ),
        "storm.crest_p99_ms": max((p99 for _, _, p99 in crest), default=0.0),
        "storm.logged_in": storm.logged_in,
        "storm.logins_per_s": round(storm.logged_in / storm.seconds, 2),
        "storm.busy_answers": storm.patience.busy,
    }


def _p99_ms(result: Result) -> float:
    return result.percentile_ms(99)


async def _transfers(bench: Bench, name: str, during: During | None = None) -> Result:
    load = bench.scale.arrivals(name, RATE_PER_S, WARM_UP_S, SECONDS)
    if during is not None:
        load = replace(load, seconds=STORM_S_MAX)
    callers = await orders.payers(bench.test_bench, len(bench.callers))
    requests = orders.interbank(bench.test_bench, callers)
    return await bench.measure(load, requests, during=during)


@asynccontextmanager
async def storming(
    apps: Sequence[App], storm: Storm
) -> AsyncGenerator[asyncio.Future[list[BaseException | None]]]:
    """Let all telephones log in at once during the block, and stop those that are not done at its
    end. The future is done when all have ended."""
    begun = time.monotonic()
    tasks = [asyncio.create_task(persist(app.login, storm)) for app in apps]
    try:
        yield asyncio.gather(*tasks, return_exceptions=True)
    finally:
        storm.seconds = time.monotonic() - begun
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def persist(login: Callable[[], Awaitable[Answer]], storm: Storm) -> None:
    """Log in; retry later when too many logins wait."""
    try:
        answer = await storm.patience.repeat(login)
    except (aiohttp.ClientError, OSError) as error:
        storm.other[type(error).__name__] += 1
        return
    if answer.status == 200:
        storm.logged_in += 1
    else:
        storm.other[f"{answer.status} {answer.reason}"] += 1
