"""A bank has healed in time if each condition held within its limit."""

import pytest

from lab.chaos.healing import OPENING_S, Breaker, Healing


@pytest.mark.parametrize(
    ("healing", "ok"),
    [
        (Healing(1, 2, 12), True),
        (Healing(29.9, 29.9, 29.9), True),
        (Healing(30.1, 30.2, 30.3), False),
        (Healing(1, 31, 32), False),
        (Healing(1, 2, 31), False),
        (Healing(1, 2, None), False),
        (Healing(1, None, None), False),
        (Healing(None, None, None), False),
        # While the breaker is open, the time to settle does not run.
        (Healing(1, 2, 80, breaker_s=55), True),
        (Healing(1, 2, 86, breaker_s=55), False),
        (Healing(1, 31, 40, breaker_s=55), False),
        # A breaker that opens again and again is an excuse only up to a limit.
        (Healing(1, 2, 331, breaker_s=330), False),
        # A slower host has a longer limit.
        (Healing(59, 59, 59, limit_s=60), True),
        (Healing(1, 2, 61, limit_s=60), False),
    ],
)
def test_each_condition_of_healing_has_a_time_limit(healing: Healing, ok: bool) -> None:
    assert healing.ok is ok


OPEN, CLOSED, SILENT = True, False, None


@pytest.mark.parametrize(
    ("answers", "open_s"),
    [
        ([], 0),
        ([(1, CLOSED), (2, SILENT), (90, SILENT)], 0),
        ([(1, OPEN), (2, OPEN), (3, CLOSED)], 2),
        # Without an answer the breaker keeps its last state.
        ([(1, OPEN), (9, SILENT), (20, SILENT), (21, CLOSED)], 20),
        ([(1, OPEN), (2, CLOSED), (3, SILENT)], 1),
        # But no longer than one opening lasts: a dead sidecar is no excuse.
        ([(1, OPEN), (1 + OPENING_S, SILENT)], 1 + OPENING_S),
        ([(1, OPEN), (40, SILENT), (2 + OPENING_S, SILENT), (300, SILENT)], 40),
        # A new opening starts a new period.
        ([(1, OPEN), (100, SILENT), (110, OPEN), (150, SILENT), (200, SILENT)], 150),
    ],
)
def test_a_silent_sidecar_keeps_its_breaker_open_for_one_opening_at_most(
    answers: list[tuple[float, bool | None]], open_s: float
) -> None:
    known = Breaker()
    for at_s, found in answers:
        known = known.after(found, at_s)
    assert known.open_s == open_s
