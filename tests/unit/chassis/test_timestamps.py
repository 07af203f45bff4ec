"""A datetime converts to a protobuf timestamp and back unchanged, also before 1970."""

from datetime import UTC, datetime, timedelta, timezone

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.timestamps import to_timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=365 * 200)
ZONES = st.sampled_from([UTC, timezone.min, timezone.max])


@given(st.timedeltas(min_value=-SPAN, max_value=SPAN), ZONES)
def test_a_timestamp_equals_the_one_of_the_library(since: timedelta, zone: timezone) -> None:
    moment = (EPOCH + since).astimezone(zone)
    expected = Timestamp()
    expected.FromDatetime(moment)
    assert to_timestamp(moment) == expected
    assert to_timestamp(moment).ToDatetime(UTC) == moment
