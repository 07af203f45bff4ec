"""The business clock of the clearing house: real time plus an offset, or a stopped clock.

Instants are seconds since the epoch; days and times of day are New York's. The schedule is pure:
it computes when a transfer of a processing day is batched, settles and is returned.
"""

import time as real_time
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from sandbox.partners.ach import banking_days

ZONE = ZoneInfo("America/New_York")
LATE_RETURN_DAYS = 5


@dataclass(slots=True)
class BusinessClock:
    """Running: now = real time + offset. Stopped: now = offset."""

    is_running: bool
    offset_s: float = 0.0

    def now(self) -> float:
        """Return the business time, in seconds since the epoch."""
        return real_time.time() + self.offset_s if self.is_running else self.offset_s

    def set(self, instant: float) -> None:
        """Set the business time to this instant."""
        self.offset_s = instant - real_time.time() if self.is_running else instant


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of day of the schedule: cut-off of the next-day batch, opening of settlement."""

    cutoff: time
    settlement: time

    def processing_day(self, instant: float) -> date:
        """Return T of a transfer accepted at `instant`: that banking day until its cut-off, else
        the next one."""
        local = local_time(instant)
        if local.time() >= self.cutoff:
            return banking_days.on_or_after(local.date() + timedelta(days=1))
        return banking_days.on_or_after(local.date())

    def batched_at(self, day: date) -> float:
        """Return the cut-off of T; afterwards the transfer cannot be cancelled."""
        return _instant(day, self.cutoff)

    def settling_at(self, day: date) -> float:
        """Return the opening of T+1, when the batch is processed."""
        return _instant(banking_days.add_banking_days(day, 1), self.settlement)

    def settled_at(self, day: date) -> float:
        """Return the opening of T+2, when it is settled or returned by the destination bank."""
        return _instant(self.effective_date(day), self.settlement)

    def late_return_at(self, day: date) -> float:
        """Return the instant of late returns, five banking days after settlement."""
        late = banking_days.add_banking_days(day, 2 + LATE_RETURN_DAYS)
        return _instant(late, self.settlement)

    def effective_date(self, day: date) -> date:
        """Return the settlement date of a transfer whose processing day is `day`."""
        return banking_days.add_banking_days(day, 2)

    def after_banking_days(self, instant: float, count: int) -> float:
        """Return T + count banking days, same time of day, not before settlement opens.

        It counts from T, so that a transfer accepted at `instant` has settled after two days, at
        any time of day.
        """
        local = local_time(instant)
        day = banking_days.add_banking_days(self.processing_day(instant), count)
        return _instant(day, max(local.time(), self.settlement))

    @staticmethod
    def after_days(instant: float, count: int) -> float:
        """Return the instant `count` calendar days later, same time of day in New York."""
        return (local_time(instant) + timedelta(days=count)).timestamp()


def local_time(instant: float) -> datetime:
    """Return an instant in New York's time zone."""
    return datetime.fromtimestamp(instant, ZONE)


@lru_cache(maxsize=1024)
def rfc3339(instant: float) -> str:
    """Return an instant as text with New York's offset, to the millisecond."""
    return local_time(instant).isoformat(timespec="milliseconds")


@lru_cache(maxsize=4096)
def _instant(day: date, at: time) -> float:
    return datetime.combine(day, at, ZONE).timestamp()
