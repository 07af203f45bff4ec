"""An event of audit-logs with a malformed time is refused."""

import pytest
from bp.audit.v1.audit_events_pb2 import AuditEvent
from google.protobuf.timestamp_pb2 import Timestamp

from services.audit.mapping import to_entry
from services.chassis.kafka import BadMessage, Record
from services.kernel.ids import new_id

TIMES = {
    "before the year 1": Timestamp(seconds=-(2**62)),
    "after the year 9999": Timestamp(seconds=2**62),
    "nanoseconds beyond a second": Timestamp(seconds=1, nanos=2**31 - 1),
}


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES)
def test_a_malformed_time_is_the_messages_fault_and_stops_no_verification(
    time: Timestamp,
) -> None:
    event = AuditEvent(event_id=str(new_id()), occur_time=time)
    record = Record("audit-logs", 0, 0, b"", event.SerializeToString(), ())
    with pytest.raises(BadMessage) as raised:
        to_entry(record)
    assert raised.value.reason == "EVENT_TIME_INVALID"
