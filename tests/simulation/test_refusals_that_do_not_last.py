"""The clearing house refuses a request that it accepts later, and requests arrive twice and late.

A directory that changes, or one process with other rules, can decide the same request in two ways.
Therefore another attempt of a refused request may have been accepted. The bank may refund only
after the clearing house confirms that the key is closed.
"""

import pytest

from lab.simulator import randomness
from lab.simulator.randomness import Point
from lab.simulator.shrink import outcome
from sandbox.partners.ach import api
from tests.simulation.wavering import wavering

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.mark.parametrize("seed", range(1, 7))
def test_a_refused_and_refunded_transfer_is_never_accepted_later(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(api, "order_from", wavering(5))
    monkeypatch.setitem(randomness.RATES, Point.ACH_TWICE, 0.2)
    monkeypatch.setitem(randomness.RATES, Point.ACH_LATE, 0.2)
    monkeypatch.setitem(randomness.RATES, Point.ACH_ANSWER_LOST, 0.1)
    failure, _ = outcome(seed, range(400))
    assert failure is None, failure.text
