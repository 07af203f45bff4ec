"""The first factor: right passwords, next to the machine's own limit for bcrypt.

The machine's speed changes within minutes, so the limit is measured before, between and after the
logins, while the bank runs idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from lab.bench import series
from lab.bench.bench import Bench
from lab.bench.meters import bcrypt_limit
from lab.bench.variants.login.measured import Measured, closed_loop, note, usual_s
from sandbox.app import App
from sandbox.client import Answer
from services.auth.settings import AuthSettings

AT_ONCE = 4
"""Enough that a password always waits for a free core, and few enough that none is refused."""
ROUNDS = 2
SECONDS = 15.0
LIMIT_S = 6.0
COST: int = AuthSettings.model_fields["bcrypt_cost"].default


async def measure(bench: Bench, apps: Sequence[App]) -> None:
    """Measure logins, their latency, and their share of the machine's limit."""
    limits = [await limit(bench)]
    runs: list[Measured] = []
    for _ in range(1 if bench.scale.quick else ROUNDS):
        seconds = usual_s(bench, SECONDS)
        runs.append(await closed_loop(bench, "login", apps, _password, AT_ONCE, seconds))
        limits.append(await limit(bench))
    figures = bench.found.figures
    for run in runs:
        note(bench, "login", run)
    latencies = sorted(ms for run in runs for ms in run.answers.took_ms)
    figures |= {f"login.p{p}_ms": round(series.percentile(latencies, p), 1) for p in (50, 99)}
    figures["login.per_s"] = round(mean(run.answers.per_s for run in runs), 2)
    figures["login.limit_per_s"] = round(mean(limits), 2)
    bench.found.details["login"]["rounds"] = {
        "limits_per_s": [round(one, 2) for one in limits],
        "logins_per_s": [round(run.answers.per_s, 2) for run in runs],
    }


async def limit(bench: Bench) -> float:
    """Measure the machine's limit now, in hashes a second."""
    bench.say("login: the machine's limit")
    return await bcrypt_limit.limit_per_s(COST, usual_s(bench, LIMIT_S))


async def _password(app: App) -> Answer:
    return await app.login()
