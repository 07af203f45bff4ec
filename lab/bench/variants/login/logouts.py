"""How long an access token still works after its session was logged out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from lab.bench import series
from lab.bench.bench import Bench
from sandbox.app import App

AT_ONCE = 4
PAUSE_S = 0.02
LONGEST_S = 30.0
NAME = "login.logout"


async def measure(bench: Bench, apps: Sequence[App]) -> None:
    """Log each telephone out, and use its token until a service refuses it.

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
    """Log a telephone out; return the seconds until the service customers refused its token."""
    token = app.phone.access_token
    if (answer := await app.log_out()).status != 200:
        raise RuntimeError(f"the logout got {answer.status} {answer.reason}")
    begun = time.monotonic()
    while (answer := await app.bank.call("GET", "/v1/accounts", token)).status == 200:
        if time.monotonic() - begun > LONGEST_S:
            raise RuntimeError("a token still works long after its logout")
        await asyncio.sleep(PAUSE_S)
    if answer.status != 401:
        raise RuntimeError(f"a token after its logout got {answer.status} {answer.reason}")
    return time.monotonic() - begun
