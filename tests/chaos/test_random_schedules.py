"""A short schedule of random faults. Its seed is printed, and BP_CHAOS_SEED replays it."""

import os
import random

import pytest

from lab.chaos.healing import WATCHED_S
from lab.chaos.runner import roster, run
from lab.chaos.schedule import READERS, Kind
from mesh.pilot.places import NAME as CONTROL_PLANE
from ops.provision.roster import GATEWAY, SERVICES
from sandbox.stack.testing import RunningStack

SECONDS = 25.0
"""`make chaos` runs twenty schedules of two minutes each."""
SEED_MAX = 1_000_000


STORES = {"kafka", "postgres", "valkey", "openbao"}
OUTSIDE = {
    "partner-ach",
    "partner-fraud",
    "partner-fcm",
    "partner-oauth",
    "partner-sms",
    "partner-rekognition",
}


def test_every_part_of_the_bank_can_be_injected(stack: RunningStack) -> None:
    services = {one.name for one in SERVICES}
    sidecars = {f"{one.name}-sidecar" for one in SERVICES if one.sidecar}
    wanted = services | sidecars | {GATEWAY, CONTROL_PLANE} | STORES | OUTSIDE
    parts = roster(stack)
    assert set(parts.processes) == wanted
    assert all(set(parts.targets(kind)) == wanted for kind in (Kind.KILL, Kind.PAUSE, Kind.RESTART))
    assert {f"partner-{one}" for one in parts.partners} == OUTSIDE
    assert set(parts.targets(Kind.BACKLOG)) == set(READERS)


@pytest.mark.timeout(900)  # an open breaker delays a transfer for minutes
async def test_random_faults_lose_and_double_nothing_and_the_bank_heals(
    stack: RunningStack, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("BP_CHAOS_SEED") or random.randrange(SEED_MAX))
    with capsys.disabled():
        print(f"\nBP_CHAOS_SEED={seed}", flush=True)
    told: list[str] = []
    # The bank must heal. This test does not check how fast; `make chaos` measures that.
    outcome = await run(
        stack, seed, SECONDS, told.append, close_breakers=True, healed_within_s=WATCHED_S
    )
    assert outcome.ok, "\n".join([*told, *outcome.lines()])
    assert outcome.injected
    assert sum(bool(order.taken_as) for order in outcome.orders) > len(outcome.orders) / 4
