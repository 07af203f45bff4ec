"""A recall that arrives after the bank has given it up: the worst is a transfer for a person."""

import pytest

from sandbox.simulator import partner_lines
from sandbox.simulator.shrink import outcome

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

FOR_A_PERSON = ("every transfer ends", "every notice is applied or stale")


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_recall_that_arrives_late_doubles_no_money_and_loses_none(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(partner_lines, "RECALLS_COME_LATE", True)
    failure, world = outcome(seed, range(1000))
    assert failure is None or failure.text.startswith(FOR_A_PERSON), failure.text
    assert world.payments.transfers
