"""A range of time and the ids of its rows."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.time_texts import time_range
from services.kernel.errors import InvalidArgument
from services.kernel.ids import new_id
from services.kernel.time_range import ANY_TIME, TimeRange


def test_a_range_around_now_has_the_ids_of_now():
    now, second = datetime.now(UTC), timedelta(seconds=1)
    around = TimeRange(now - second, now + timedelta(minutes=10))
    assert around.first_id < new_id() < around.end_id
    assert TimeRange(time_to=now - timedelta(hours=1)).end_id < new_id()
    assert TimeRange(now + timedelta(hours=1)).first_id > new_id()


@pytest.mark.parametrize(
    ("time_from", "time_to"),
    [("", ""), ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")],
)
def test_a_range_without_limits_has_every_id(time_from: str, time_to: str):
    wide = time_range(time_from, time_to)
    assert wide.first_id == uuid.UUID(int=0) == ANY_TIME.first_id
    assert wide.end_id == uuid.UUID(int=(1 << 128) - 1) == ANY_TIME.end_id


def test_a_text_that_is_no_time_names_its_field():
    with pytest.raises(InvalidArgument) as refused:
        time_range("2026-02-01T00:00:00Z", "2026-02-30T00:00:00Z")
    assert [each.field for each in refused.value.violations] == ["createTimeTo"]
