"""Runs the judge at the end of a bench: all stores must agree."""

from __future__ import annotations

import asyncpg

from lab.bench.bench import Bench
from ops.judge.judge import judge
from ops.judge.stores import Stores
from ops.provision import valkey
from ops.waiting import scaled_s

WAIT_S = 60.0
JUDGE = "bp_judge"
NAMED_MAX = 5


async def judged(bench: Bench) -> None:
    """Judge the bank. Any difference makes the bench void."""
    bench.say("judge")
    verdict = (await judge(_stores(bench), scaled_s(WAIT_S))).to_json()
    bench.found.details.setdefault("judge", []).append(verdict)
    if not verdict["ok"]:
        kinds = ", ".join(f"{kind} {n}" for kind, n in verdict["difference_counts"].items())
        some = "; ".join(str(one) for one in verdict["differences"][:NAMED_MAX])
        bench.found.void.append(f"the judge found differences: {kinds}: {some}")


def _stores(bench: Bench) -> Stores:
    test_bench = bench.test_bench
    return Stores.of(
        test_bench.where,
        lambda database: asyncpg.connect(test_bench.stack.dsn(database, JUDGE)),
        valkey.login(test_bench.stack.credentials, valkey.JUDGE),
    )
