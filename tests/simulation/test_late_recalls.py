"""Many requests arrive late, including recalls that arrive after a query found the transfer."""

import pytest

from lab.simulator import randomness
from lab.simulator.randomness import Point
from lab.simulator.shrink import outcome

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.mark.parametrize("seed", range(1, 7))
def test_requests_that_arrive_late_leave_no_transfer_in_clearing(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setitem(randomness.RATES, Point.ACH_LATE, 0.4)
    failure, _ = outcome(seed, range(400))
    assert failure is None, failure.text
