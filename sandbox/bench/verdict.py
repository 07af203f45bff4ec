"""The judge at the end of a bench: after all that load every store says the same."""

from __future__ import annotations

import asyncpg

from sandbox.bench.bench import Bench
from sandbox.judge.judge import judge
from sandbox.judge.stores import Stores
from sandbox.waiting import scaled_s

WAIT_S = 60.0
JUDGE = "bp_judge"
NAMED_MAX = 5


async def judged(bench: Bench) -> None:
    """Judge the bank; any difference makes the bench void."""
    bench.say("judge")
    verdict = (await judge(_stores(bench), scaled_s(WAIT_S))).to_json()
    bench.found.details.setdefault("judge", []).append(verdict)
    if not verdict["ok"]:
        kinds = ", ".join(f"{kind} {n}" for kind, n in verdict["difference_counts"].items())
        some = "; ".join(str(one) for one in verdict["differences"][:NAMED_MAX])
        bench.found.void.append(f"the judge found differences: {kinds}: {some}")


def _stores(bench: Bench) -> Stores:
    stand = bench.stand
    return Stores(
        connect=lambda database: asyncpg.connect(stand.stack.dsn(database, JUDGE)),
        kafka_bootstrap=stand.where["BP_KAFKA_BOOTSTRAP"],
        ach_control_url=stand.where["BP_PARTNER_ACH_CONTROL_URL"],
        fcm_control_url=stand.where["BP_PARTNER_FCM_CONTROL_URL"],
    )
