"""Each planted bug is found, and a failure is shrunk and can be replayed."""

import pytest

from lab.simulator.randomness import Fault
from lab.simulator.shrink import outcome, shrunk
from ops.waiting import scaled_s
from tests.simulation.bugs import BUGS, planted

# Coroutines of dead processes are never awaited; the garbage collector closes them.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

FIRST_SEED = 1
WORLD = 500


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_within_its_budget(name: str) -> None:
    with planted(name) as bug:
        for seed in range(FIRST_SEED, FIRST_SEED + bug.transfers // WORLD):
            failure, _ = outcome(seed, range(WORLD))
            if failure is not None:
                break
        else:
            pytest.fail(f"{bug.title}: not found in {bug.transfers} transfers")
    print(f"{bug.title}: found with seed {seed}, {(seed - FIRST_SEED + 1) * WORLD} transfers:")
    print(f"  {failure.text}")
    assert failure.text.startswith(bug.rules), failure.text


def test_a_failure_is_made_small_and_its_command_replays_it() -> None:
    with planted("timeout_is_a_failure"):
        failure = next(
            found for seed in range(1, 20) if (found := outcome(seed, range(WORLD))[0]) is not None
        )
        small = shrunk(failure, seconds=scaled_s(30))
        assert small.rule == failure.rule
        assert len(small.operations) == 1
        assert small.faults is not None
        assert len(small.faults) <= 3
        assert 3 < len(small.trace) < 60
        command = small.command()
        faults = [Fault.parse(one) for one in command.rpartition("--faults ")[2].split(",")]
        replayed, _ = outcome(small.seed, small.operations, faults, tracing=True)
        assert replayed == small
    healthy, _ = outcome(small.seed, small.operations, faults)
    assert healthy is None
