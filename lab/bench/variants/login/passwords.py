"""The first factor: right passwords, beside the machine's own limit for bcrypt.

The machine's speed changes within minutes, so the limit is measured before, between and after the
logins, while the bank runs idle.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from lab.bench.bench import QUICK_S, Bench
from lab.bench.load.callers import Answers
from lab.bench.meters import bcrypt_limit
from lab.bench.variants.login.measured import Measured, closed_loop, note
from sandbox.app import App
from sandbox.client import Answer
from services.auth.settings import AuthSettings

AT_ONCE = 6
"""Enough that a password always waits for a free core."""
ROUNDS = 2
SECONDS = 20.0
LIMIT_S = 8.0
COST: int = AuthSettings.model_fields["bcrypt_cost"].default


async def measure(bench: Bench, apps: Sequence[App]) -> None:
    """Measure logins, their latency, and their share of the machine's limit."""
    limits = [await limit(bench)]
    runs: list[Measured] = []
    for _ in range(1 if bench.scale.quick else ROUNDS):
        runs.append(await closed_loop(bench, "login", apps, _password, AT_ONCE, SECONDS))
        limits.append(await limit(bench))
    figures = bench.found.figures
    note(bench, "login", _best(runs))
    figures["login.per_s"] = round(mean(run.answers.per_s for run in runs), 2)
    figures["login.limit_per_s"] = round(mean(limits), 2)
    bench.found.details["login"]["rounds"] = {
        "limits_per_s": [round(one, 2) for one in limits],
        "logins_per_s": [round(run.answers.per_s, 2) for run in runs],
    }


async def limit(bench: Bench) -> float:
    """Measure the machine's limit now, in hashes a second."""
    bench.say("login: the machine's limit")
    seconds = bench.scale.seconds or (QUICK_S if bench.scale.quick else LIMIT_S)
    return await bcrypt_limit.limit_per_s(COST, seconds)


async def _password(app: App) -> Answer:
    return await app.login()


def _best(runs: Sequence[Measured]) -> Measured:
    return max(runs, key=lambda run: _speed(run.answers))


def _speed(answers: Answers) -> float:
    return answers.per_s
