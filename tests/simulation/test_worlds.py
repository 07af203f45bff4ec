"""A hundred thousand transfers under every fault, and the promise of one seed."""

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from sandbox.simulator.chance import Point
from sandbox.simulator.runs import Lived, quiet_cpu_s
from sandbox.simulator.shrink import outcome
from sandbox.stack.home import REPO

# What a dead process had begun is swept away by the garbage collector, never awaited.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

TRANSFERS = 100_000
CPU_S_MAX = 120
"""A minute on two cores. Of CPU and not of the clock: other tests run meanwhile."""
WALL_S_MAX = 280


def _simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Coverage is measured elsewhere; here it would cost more than the simulation itself.
    env = {key: value for key, value in os.environ.items() if key != "COVERAGE_PROCESS_START"}
    env["PYTHONPATH"] = os.pathsep.join((str(REPO), str(REPO / "gen")))
    command = [sys.executable, "-m", "sandbox.simulator", *arguments]
    return subprocess.run(
        command, cwd=REPO, env=env, capture_output=True, text=True, timeout=WALL_S_MAX, check=False
    )


def test_a_hundred_thousand_transfers_keep_every_invariant_under_every_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = _simulate("--transfers", str(TRANSFERS), "--seed", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["transfers"] == TRANSFERS
    assert set(told["faults"]) == {point.name for point in Point}
    assert set(told["states"]) == {"BOOKED", "COMPLETED", "RETURNED", "FAILED", "CANCELLED"}
    with capsys.disabled():
        print(f"\n{TRANSFERS} simulated transfers: {_times(told)}", flush=True)
    assert 0 < told["quiet_cpu_s"] <= CPU_S_MAX, _times(told)


def _times(told: dict[str, Any]) -> str:
    quiet = f"{told['quiet_cpu_s']} s of CPU if alone, {CPU_S_MAX} may be"
    return f"{told['wall_s']} s, {told['cpu_s']} s of CPU; {quiet}"


def _world(waits: int, cpu_s: float) -> Lived:
    return Lived(1, 1, Counter(), Counter(), 1, 1, 1.0, waits, cpu_s, None)


def test_what_neighbours_cost_is_left_out_and_what_the_simulation_costs_is_not() -> None:
    alone = [_world(waits, waits / 1000) for waits in (900, 1000, 1100, 1000)]
    assert quiet_cpu_s(alone) == pytest.approx(4.0)
    slower = zip(alone, (1, 1, 2, 3), strict=True)
    disturbed = [_world(one.waits, one.cpu_s * slow) for one, slow in slower]
    assert quiet_cpu_s(disturbed) == pytest.approx(4.0)
    # Dearer everywhere, or more of it to do, is the simulation's own.
    assert quiet_cpu_s([_world(one.waits, one.cpu_s * 2) for one in alone]) == pytest.approx(8.0)
    assert quiet_cpu_s([*alone, *alone]) == pytest.approx(8.0)


def test_one_seed_is_one_history_to_the_last_line() -> None:
    histories = [outcome(7, range(300), tracing=True)[1] for _ in range(2)]
    assert len(histories[0].trace) > 1_000
    assert histories[0].trace == histories[1].trace
    assert histories[0].chance.struck == histories[1].chance.struck


def test_another_seed_is_another_history() -> None:
    one, other = (outcome(seed, range(50), tracing=True)[1].trace for seed in (8, 9))
    assert one != other
