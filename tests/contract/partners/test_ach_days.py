"""Banking days and the clock's schedule: pure."""

from datetime import date, datetime, time

import pytest

from sandbox.partners.ach.banking_days import add_banking_days, holidays, is_banking_day
from sandbox.partners.ach.clock import ZONE, Schedule, local_time
from sandbox.partners.ach.routing_numbers import is_valid, known_banks
from sandbox.partners.ach.triggers import Ending, ending

PLAN = Schedule(cutoff=time(22), settlement=time(8, 30))


@pytest.mark.parametrize(
    ("day", "is_open"),
    [
        (date(2026, 7, 3), True),
        (date(2027, 6, 18), True),
        (date(2027, 7, 5), False),
        (date(2027, 12, 24), True),
        (date(2021, 7, 5), False),
        (date(2026, 1, 1), False),
        (date(2026, 1, 19), False),
        (date(2026, 2, 16), False),
        (date(2026, 5, 25), False),
        (date(2026, 6, 19), False),
        (date(2026, 9, 7), False),
        (date(2026, 10, 12), False),
        (date(2026, 11, 11), False),
        (date(2026, 11, 26), False),
        (date(2026, 12, 25), False),
        (date(2026, 11, 27), True),
        (date(2026, 3, 14), False),
        (date(2020, 6, 19), True),
    ],
)
def test_the_federal_reserve_is_open_or_closed(day: date, is_open: bool) -> None:
    assert is_banking_day(day) is is_open


def test_a_year_has_eleven_holidays() -> None:
    assert len(holidays(2026)) == 11


def test_banking_days_are_counted_over_weekends_and_holidays() -> None:
    assert add_banking_days(date(2026, 11, 25), 1) == date(2026, 11, 27)
    assert add_banking_days(date(2026, 12, 24), 2) == date(2026, 12, 29)
    assert add_banking_days(date(2026, 3, 14), 0) == date(2026, 3, 16)


@pytest.mark.parametrize(
    ("now", "processing", "effective"),
    [
        ("2026-03-10 21:59", date(2026, 3, 10), date(2026, 3, 12)),
        ("2026-03-10 22:00", date(2026, 3, 11), date(2026, 3, 13)),
        ("2026-03-13 22:00", date(2026, 3, 16), date(2026, 3, 18)),
        ("2026-03-14 12:00", date(2026, 3, 16), date(2026, 3, 18)),
        ("2026-07-02 12:00", date(2026, 7, 2), date(2026, 7, 6)),
    ],
)
def test_the_cut_off_decides_the_processing_day(
    now: str, processing: date, effective: date
) -> None:
    day = PLAN.processing_day(datetime.fromisoformat(now).replace(tzinfo=ZONE).timestamp())
    assert day == processing
    assert PLAN.effective_date(day) == effective


@pytest.mark.parametrize("hour", range(24))
@pytest.mark.parametrize("day", [9, 13, 14, 15])
def test_two_banking_days_settle_what_is_accepted_now_at_any_hour(day: int, hour: int) -> None:
    now = datetime(2026, 3, day, hour, tzinfo=ZONE).timestamp()
    after = PLAN.after_banking_days(now, 2)
    assert after >= PLAN.settled_at(PLAN.processing_day(now))
    assert local_time(after).date() == PLAN.effective_date(PLAN.processing_day(now))


@pytest.mark.parametrize(
    ("account", "name", "expected"),
    [
        ("000009901", "Bo", Ending("R01")),
        ("000009916", "Bo", Ending("R16")),
        ("000008810", "Bo", Ending("R10", is_late=True)),
        ("000009999", "Bo", Ending()),
        ("000123456", "ACH RETURN R03", Ending("R03")),
        ("000123456", "LATE RETURN R07", Ending("R07", is_late=True)),
        ("000123456", "Bo", Ending()),
    ],
)
def test_magic_accounts_and_names_decide_the_end(account: str, name: str, expected: Ending) -> None:
    assert ending(account, name) == expected


def test_every_known_bank_has_a_valid_routing_number() -> None:
    assert len(known_banks()) >= 36
    assert all(is_valid(number) for number in known_banks())
    assert not is_valid("02100991２")
