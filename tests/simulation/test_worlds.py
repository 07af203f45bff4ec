"""A hundred thousand transfers under every fault, and the promise of one seed."""

import json
import os
import subprocess
import sys

import pytest

from sandbox.simulator.chance import Point
from sandbox.simulator.shrink import outcome
from sandbox.stack.home import REPO

# What a dead process had begun is swept away by the garbage collector, never awaited.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

TRANSFERS = 100_000
WALL_S_MAX = 240


def _simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Coverage is measured elsewhere; here it would cost more than the simulation itself.
    env = {key: value for key, value in os.environ.items() if key != "COVERAGE_PROCESS_START"}
    env["PYTHONPATH"] = os.pathsep.join((str(REPO), str(REPO / "gen")))
    command = [sys.executable, "-m", "sandbox.simulator", *arguments]
    return subprocess.run(
        command, cwd=REPO, env=env, capture_output=True, text=True, timeout=WALL_S_MAX, check=False
    )


def test_a_hundred_thousand_transfers_keep_every_invariant_under_every_fault() -> None:
    done = _simulate("--transfers", str(TRANSFERS), "--seed", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["transfers"] == TRANSFERS
    assert set(told["faults"]) == {point.name for point in Point}
    assert set(told["states"]) == {"BOOKED", "COMPLETED", "RETURNED", "FAILED", "CANCELLED"}


def test_one_seed_is_one_history_to_the_last_line() -> None:
    histories = [outcome(7, range(300), tracing=True)[1] for _ in range(2)]
    assert len(histories[0].trace) > 1_000
    assert histories[0].trace == histories[1].trace
    assert histories[0].chance.struck == histories[1].chance.struck


def test_another_seed_is_another_history() -> None:
    one, other = (outcome(seed, range(50), tracing=True)[1].trace for seed in (8, 9))
    assert one != other
