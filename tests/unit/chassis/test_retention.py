"""The lowest of four bounds decides up to where the records of a partition are deleted."""

import pytest

from services.chassis.kafka.retention import Reach


@pytest.mark.parametrize(
    ("reach", "end"),
    [
        (Reach(low=0, read=10, aged=10), 10),
        (Reach(low=0, read=3, aged=10), 3),
        (Reach(low=0, read=10, aged=3), 3),
        (Reach(low=3, read=3, aged=10), None),
        (Reach(low=5, read=0, aged=10), None),
        (Reach(low=0, read=10, aged=10, limit=10), 10),
        (Reach(low=0, read=10, aged=10, limit=3), 3),
        (Reach(low=0, read=3, aged=10, limit=10), 3),
        (Reach(low=0, read=10, aged=3, limit=10), 3),
        (Reach(low=3, read=10, aged=10, limit=3), None),
    ],
)
def test_the_earliest_bound_decides(reach: Reach, end: int | None) -> None:
    assert reach.deletable() == end
