"""The expected settlement date follows the banking days, and the steps give their times."""

from datetime import date, datetime, timedelta

import pytest

from sandbox.partners.ach import banking_days
from services.nacha.banking_days import is_banking_day
from services.nacha.settlement import ZONE, expected_date
from services.payments import mapping
from services.payments.state import Event, State
from services.payments.transfer import Fact, after
from tests.unit.payments.orders import NOW, transfer


@pytest.mark.parametrize(
    ("submitted", "settles"),
    [
        ("2026-03-10T10:00", "2026-03-12"),
        ("2026-03-10T21:59", "2026-03-12"),
        ("2026-03-10T22:00", "2026-03-13"),
        ("2026-03-12T09:00", "2026-03-16"),
        ("2026-03-14T09:00", "2026-03-18"),
        # 3 July 2026 is a banking day, because the holiday is on Saturday.
        ("2026-07-02T09:00", "2026-07-06"),
        # 5 July 2027 is closed, because the holiday is on Sunday.
        ("2027-07-02T09:00", "2027-07-07"),
    ],
)
def test_a_transfer_settles_two_banking_days_after_its_batch(submitted: str, settles: str):
    moment = datetime.fromisoformat(submitted).replace(tzinfo=ZONE)
    assert expected_date(moment).isoformat() == settles


def test_the_bank_and_the_clearing_house_have_the_same_banking_days():
    first = date(2022, 1, 1)
    days = [first + timedelta(days=number) for number in range(20 * 365)]
    assert [day for day in days if is_banking_day(day)] == [
        day for day in days if banking_days.is_banking_day(day)
    ]


def test_each_step_raises_the_version_and_has_its_time():
    trace = "091000010000001"
    made = transfer()
    sent, _ = after(made, Fact(Event.ACCEPTED, trace), NOW + timedelta(seconds=1))
    asked, _ = after(sent, Fact(Event.CANCEL_ASKED), NOW + timedelta(seconds=2))
    again, _ = after(asked, Fact(Event.ACCEPTED, trace), NOW + timedelta(seconds=3))
    done, _ = after(again, Fact(Event.COMPLETED, trace), NOW + timedelta(days=2))
    back, _ = after(done, Fact(Event.RETURNED, trace, return_code="R03"), NOW + timedelta(days=3))
    messages = [mapping.transfer_message(one) for one in (made, sent, asked, again, done, back)]
    assert [message.version for message in messages] == [1, 2, 3, 4, 5, 6]
    assert len({message.etag for message in messages}) == 6
    first, last = messages[0], messages[-1]
    assert not first.HasField("submit_time")
    assert not first.expected_settlement_date
    assert back.state is State.RETURNED
    assert last.submit_time.seconds == int(NOW.timestamp()) + 1
    assert last.complete_time.ToDatetime(NOW.tzinfo) == NOW + timedelta(days=2)
    assert last.return_time.ToDatetime(NOW.tzinfo) == NOW + timedelta(days=3)
    assert last.expected_settlement_date == "2026-03-04"
