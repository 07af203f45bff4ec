"""Thousands of transfers with every fault, the cost of a simulation, one history for each seed."""

import json
import os
import subprocess
import sys
from collections import Counter
from types import FrameType
from typing import Any

import pytest

from lab.simulator.randomness import Point
from lab.simulator.shrink import outcome
from lab.simulator.yardstick import cost_in_yardsticks
from ops.waiting import scaled_s
from sandbox.stack.home import REPO

# The garbage collector closes the coroutines of dead processes, which are never awaited.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

TRANSFERS = 30_000
"""`make simulate` runs a million."""
COST_MAX = 15_000
"""In yardsticks (lab/simulator/yardstick.py): 4,500 on a quiet host. Another process that uses the
CPU caches slows the simulation up to 1.8 times more than the yardstick."""
PYTHON_CALLS_MAX, C_CALLS_MAX = 2_700, 2_450
"""Function calls that one simulated transfer may make, in Python and in C. The actual numbers are
2,260 and 2,050 on every host."""
HANGS_AFTER_S = 300


def _simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Coverage is off, because it would cost more than the simulation.
    env = {key: value for key, value in os.environ.items() if key != "COVERAGE_PROCESS_START"}
    env["PYTHONPATH"] = os.pathsep.join((str(REPO), str(REPO / "gen")))
    command = [sys.executable, "-m", "lab.simulator", *arguments]
    return subprocess.run(
        command,
        cwd=REPO,
        env=env,
        capture_output=True,
        text=True,
        timeout=scaled_s(HANGS_AFTER_S),
        check=False,
    )


@pytest.mark.timeout(HANGS_AFTER_S + 30)
def test_thousands_of_transfers_keep_every_invariant_under_every_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = _simulate("--transfers", str(TRANSFERS), "--seed", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["transfers"] == TRANSFERS
    assert set(told["faults"]) == {point.name for point in Point}
    assert set(told["states"]) == {"BOOKED", "COMPLETED", "RETURNED", "FAILED", "CANCELLED"}
    cost = f"{told['cost_in_yardsticks']} yardsticks, at most {COST_MAX} are allowed"
    with capsys.disabled():
        print(f"\n{TRANSFERS} simulated transfers: {told['wall_s']} s, {cost}", flush=True)
    assert 0 < told["cost_in_yardsticks"] <= COST_MAX, cost


def test_a_simulated_transfer_costs_no_more_calls_than_its_limits() -> None:
    transfers, seeds = 500, range(1, 5)
    outcome(seeds[0], range(1))  # fills the caches of the process
    calls: Counter[str] = sum((_calls(seed, transfers) for seed in seeds), Counter())
    each = {kind: count / transfers / len(seeds) for kind, count in calls.items()}
    assert each["call"] <= PYTHON_CALLS_MAX, each
    assert each["c_call"] <= C_CALLS_MAX, each


def _calls(seed: int, transfers: int) -> Counter[str]:
    """Count the calls in one world: of Python functions (`call`) and of C's (`c_call`)."""
    calls = Counter[str]()

    def count(_: FrameType, event: str, __: Any) -> None:
        calls[event] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        outcome(seed, range(transfers))
    finally:
        sys.setprofile(before)
    return calls


def test_the_cost_in_yardsticks_depends_on_the_work_and_not_on_the_host() -> None:
    usual = [(2.0, 0.02), (1.0, 0.02), (1.5, 0.02)]
    assert cost_in_yardsticks(usual) == pytest.approx(225)
    slower = [(work_s * 2.5, yardstick_s * 2.5) for work_s, yardstick_s in usual]
    assert cost_in_yardsticks(slower) == pytest.approx(225)
    # Another process that runs intermittently slows some worlds, with their yardsticks.
    disturbed = [usual[0], slower[1], usual[2]]
    assert cost_in_yardsticks(disturbed) == pytest.approx(225)
    assert cost_in_yardsticks([(work_s * 2, yard_s) for work_s, yard_s in usual]) == (
        pytest.approx(450)
    )
    assert cost_in_yardsticks([*usual, *usual]) == pytest.approx(450)


def test_one_seed_is_one_history_to_the_last_line() -> None:
    histories = [outcome(7, range(300), tracing=True)[1] for _ in range(2)]
    assert len(histories[0].trace) > 1_000
    assert histories[0].trace == histories[1].trace
    assert histories[0].randomness.injected == histories[1].randomness.injected


def test_another_seed_is_another_history() -> None:
    one, other = (outcome(seed, range(50), tracing=True)[1].trace for seed in (8, 9))
    assert one != other
