"""The first factor: right passwords, next to the machine's own limit for bcrypt.

The machine's speed changes within minutes, so the limit is measured before, between and after the
logins, while the bank runs idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from lab.bench.bench import Bench
from lab.bench.meters import bcrypt_limit
from lab.bench.variants.login.measured import Measured, closed_loop, note, usual_s
from lab.bench.variants.login.patience import Patience
from sandbox.app import App
from services.auth.settings import AuthSettings

AT_ONCE = 4
"""Enough that a password always waits for a free core, and few enough that a machine without other
work refuses none."""
ROUNDS = 2
SECONDS = 15.0
LIMIT_S = 6.0
COST: int = AuthSettings.model_fields["bcrypt_cost"].default


async def measure(bench: Bench, apps: Sequence[App]) -> None:
    """Measure logins, their latency, and their share of the machine's limit."""
    limits = [await limit(bench)]
    rounds: list[Measured] = []
    patience = Patience()
    for _ in range(1 if bench.scale.quick else ROUNDS):
        seconds = usual_s(bench, SECONDS)
        rounds.append(await closed_loop(bench, "login", apps, patience.password, AT_ONCE, seconds))
        limits.append(await limit(bench))
    note(bench, "login", *rounds)
    bench.found.figures["login.limit_per_s"] = round(mean(limits), 2)
    bench.found.details["login"]["busy_answers"] = patience.busy
    bench.found.details["login"]["limits_per_s"] = [round(one, 2) for one in limits]


async def limit(bench: Bench) -> float:
    """Measure the machine's limit now, in hashes a second."""
    bench.say("login: the machine's limit")
    return await bcrypt_limit.limit_per_s(COST, usual_s(bench, LIMIT_S))
