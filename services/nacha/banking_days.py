"""The banking days of the Federal Reserve, on which ACH transfers settle. Pure.

There are eleven holidays. A Saturday holiday is not observed on Friday; a Sunday holiday closes the
following Monday.
"""

from datetime import date, timedelta
from functools import lru_cache

_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6
_FIXED = ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25))
"""Month and day: New Year, Juneteenth, Independence Day, Veterans Day, Christmas."""
_MOVING = ((1, _MONDAY, 3), (2, _MONDAY, 3), (9, _MONDAY, 1), (10, _MONDAY, 2), (11, _THURSDAY, 4))
"""Month, weekday, and which one of the month; from January: the King, Presidents, September,
Columbus and Thanksgiving holidays."""


def is_banking_day(day: date) -> bool:
    """Return whether the Federal Reserve settles on a day."""
    return day.weekday() < _SATURDAY and day not in _holidays(day.year)


def add_banking_days(day: date, count: int) -> date:
    """Return the day that is `count` banking days after `day`.

    If `day` is not a banking day, counting starts at the next banking day.
    """
    while not is_banking_day(day):
        day += timedelta(days=1)
    for _ in range(count):
        day = add_banking_days(day + timedelta(days=1), 0)
    return day


@lru_cache(maxsize=16)
def _holidays(year: int) -> frozenset[date]:
    fixed = [date(year, month, day) for month, day in _FIXED]
    memorial = date(year, 5, 31)
    memorial -= timedelta(days=memorial.weekday())
    return frozenset([*map(_observed, fixed), *(_nth(year, *rule) for rule in _MOVING), memorial])


def _observed(day: date) -> date:
    return day + timedelta(days=1) if day.weekday() == _SUNDAY else day


def _nth(year: int, month: int, weekday: int, which: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (which - 1))
