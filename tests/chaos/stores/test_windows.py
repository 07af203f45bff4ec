"""The clearing house's windows across New York's clock changes in spring and autumn. Pure."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.partners.ach.clock import ZONE, Schedule, local_time

PLAN = Schedule(cutoff=time(22), settlement=time(8, 30))
LEAPS = [date(2026, 3, 8), date(2026, 11, 1), date(2027, 3, 14), date(2027, 11, 7)]
HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("day", "batched", "settled"),
    [
        # T, a Friday before a change 22:00 in New York         08:30 in New York, after it
        (date(2027, 3, 12), "2027-03-13T03:00", "2027-03-16T12:30"),
        (date(2027, 11, 5), "2027-11-06T02:00", "2027-11-09T13:30"),
    ],
)
def test_windows_are_times_of_new_york_before_and_after_a_clock_change(
    day: date, batched: str, settled: str
) -> None:
    assert PLAN.batched_at(day) == datetime.fromisoformat(f"{batched}+00:00").timestamp()
    assert PLAN.settled_at(day) == datetime.fromisoformat(f"{settled}+00:00").timestamp()


around = st.builds(
    lambda leap, seconds: datetime.combine(leap, time(), ZONE).timestamp() + seconds,
    st.sampled_from(LEAPS),
    st.integers(-5 * 86_400, 5 * 86_400),
)


@given(around)
def test_transfers_around_a_clock_change_have_their_windows_in_order_and_on_time(
    now: float,
) -> None:
    day = PLAN.processing_day(now)
    batched, settling, settled = PLAN.batched_at(day), PLAN.settling_at(day), PLAN.settled_at(day)
    assert now < batched < settling < settled
    assert local_time(batched).time() == time(22)
    assert local_time(settled).time() == time(8, 30)
    assert local_time(settled).date() == PLAN.effective_date(day)


@given(around, st.integers(0, 10))
def test_days_advance_by_the_calendar_whatever_the_length_of_a_day(now: float, days: int) -> None:
    after = PLAN.after_days(now, days)
    assert abs(after - now - days * 24 * HOUR_S) <= HOUR_S
    assert local_time(after).date() == local_time(now).date() + timedelta(days=days)


@pytest.mark.parametrize("leap", LEAPS)
def test_the_cut_off_is_at_ten_in_the_evening_on_the_banking_day_after_a_clock_change(
    leap: date,
) -> None:
    monday = leap + timedelta(days=1)
    ten = datetime.combine(monday, time(22), ZONE).astimezone(UTC).timestamp()
    assert PLAN.processing_day(ten - 1) == monday
    assert PLAN.processing_day(ten) == monday + timedelta(days=1)
