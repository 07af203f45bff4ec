"""How long an access token still works at any service after its session was logged out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from lab.bench import series
from lab.bench.bench import Bench
from sandbox.app import READS, App
from sandbox.client import Answer

AT_ONCE = 4
PAUSE_S = 0.02
LONGEST_S = 30.0
WORKS = (200, 404)
"""Answers to a caller with a valid token; two of the reads ask for a transfer that is absent."""
NAME = "login.logout"


async def measure(bench: Bench, apps: Sequence[App]) -> None:
    """Log each telephone out, and use its token until every service refuses it.

    The time begins when the bank has answered the logout. Afterwards no telephone has a session.
    """
    bench.say(f"{NAME}: {len(apps)} telephones")
    gate = asyncio.Semaphore(AT_ONCE)
    took_s: list[float] = []

    async def log_out(app: App) -> None:
        async with gate:
            took_s.append(await refused_after_s(app))

    async with asyncio.TaskGroup() as tasks:
        for app in apps:
            tasks.create_task(log_out(app))
    took_s.sort()
    bench.found.figures |= {
        f"{NAME}.p{p}_s": round(series.percentile(took_s, p), 2) for p in (50, 100)
    }


async def refused_after_s(app: App) -> float:
    """Log a telephone out; return the seconds until every service refused its token."""
    if (answer := await app.log_out()).status != 200:
        raise RuntimeError(f"the logout got {answer.status} {answer.reason}")
    begun = time.monotonic()
    await until_refused(app.get)
    return time.monotonic() - begun


async def until_refused(read: Callable[[str], Awaitable[Answer]]) -> None:
    """Read at one service after the other until each has refused the token."""
    begun = time.monotonic()
    for path in READS.values():
        while (answer := await read(path)).status in WORKS:
            if time.monotonic() - begun > LONGEST_S:
                raise RuntimeError(f"{path}: a token still works long after its logout")
            await asyncio.sleep(PAUSE_S)
        if answer.status != 401:
            raise RuntimeError(f"{path} answered {answer.status} {answer.reason} after a logout")
