"""Banking days of the Federal Reserve: pure date arithmetic.

There are eleven holidays. A holiday on a Saturday is not observed; for one on a Sunday, the
following Monday is closed.
"""

from datetime import date, timedelta
from functools import lru_cache

MONDAY, THURSDAY, SATURDAY, SUNDAY = 0, 3, 5, 6
JUNETEENTH_FROM = 2021
# (month, day) of the fixed holidays; Juneteenth is separate because it began in 2021.
FIXED = ((1, 1), (7, 4), (11, 11), (12, 25))
# (month, weekday, which one in the month).
MOVING = ((1, MONDAY, 3), (2, MONDAY, 3), (9, MONDAY, 1), (10, MONDAY, 2), (11, THURSDAY, 4))


@lru_cache(maxsize=64)
def holidays(year: int) -> frozenset[date]:
    """Return the dates of a year on which the Federal Reserve is closed for a holiday."""
    fixed = [date(year, month, day) for month, day in FIXED]
    if year >= JUNETEENTH_FROM:
        fixed.append(date(year, 6, 19))
    moving = [_nth(year, month, weekday, which) for month, weekday, which in MOVING]
    memorial = date(year, 5, 31)
    memorial -= timedelta(days=memorial.weekday())
    return frozenset([*map(_observed, fixed), *moving, memorial])


def is_banking_day(day: date) -> bool:
    """Return whether a day is neither a weekend nor a holiday."""
    return day.weekday() < SATURDAY and day not in holidays(day.year)


def on_or_after(day: date) -> date:
    """Return the first banking day that is not before `day`."""
    while not is_banking_day(day):
        day += timedelta(days=1)
    return day


@lru_cache(maxsize=4096)
def add_banking_days(day: date, count: int) -> date:
    """Return the `count`-th banking day after `day` (count 0: `day` or the next banking day)."""
    day = on_or_after(day)
    for _ in range(count):
        day = on_or_after(day + timedelta(days=1))
    return day


def _nth(year: int, month: int, weekday: int, which: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (which - 1))


def _observed(day: date) -> date:
    return day + timedelta(days=1) if day.weekday() == SUNDAY else day
