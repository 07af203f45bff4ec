"""When a bank counts as healed in time."""

import pytest

from sandbox.chaos.healing import Healing


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
        # What the breaker holds back for its minute has its time from then on.
        (Healing(1, 2, 80, breaker_s=55), True),
        (Healing(1, 2, 86, breaker_s=55), False),
        (Healing(1, 31, 40, breaker_s=55), False),
        # A breaker that opens again and again does not excuse everything.
        (Healing(1, 2, 331, breaker_s=330), False),
        # A slower host has a longer limit.
        (Healing(59, 59, 59, limit_s=60), True),
        (Healing(1, 2, 61, limit_s=60), False),
    ],
)
def test_each_part_of_healing_has_its_time(healing: Healing, ok: bool) -> None:
    assert healing.ok is ok
