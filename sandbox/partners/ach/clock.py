"""The business clock of the clearing house: real time plus an offset, or standing still.

Instants are seconds since the epoch; days and times of day are New York's. The schedule says
when a transfer of a processing day is batched, settles and is returned: pure.
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
    """Running: now = real time + offset. Standing: now = offset."""

    is_running: bool
    offset_s: float = 0.0

    def now(self) -> float:
        """The business instant, in seconds since the epoch."""
        return real_time.time() + self.offset_s if self.is_running else self.offset_s

    def set(self, instant: float) -> None:
        """Let `now` be this instant."""
        self.offset_s = instant - real_time.time() if self.is_running else instant


@dataclass(frozen=True, slots=True)
class Schedule:
    """The times of day that matter: cut-off of the next-day batch, opening of settlement."""

    cutoff: time
    settlement: time

    def processing_day(self, instant: float) -> date:
        """T of a transfer accepted now: today until the cut-off of a banking day, else the next."""
        local = local_time(instant)
        if local.time() >= self.cutoff:
            return banking_days.on_or_after(local.date() + timedelta(days=1))
        return banking_days.on_or_after(local.date())

    def batched_at(self, day: date) -> float:
        """The cut-off of T: from here on it cannot be cancelled."""
        return _instant(day, self.cutoff)

    def settling_at(self, day: date) -> float:
        """T+1, opening: the batch is processed."""
        return _instant(banking_days.add_banking_days(day, 1), self.settlement)

    def settled_at(self, day: date) -> float:
        """T+2, opening: settled, or returned by the destination bank."""
        return _instant(self.effective_date(day), self.settlement)

    def late_return_at(self, day: date) -> float:
        """Five banking days after settlement: the late returns."""
        late = banking_days.add_banking_days(day, 2 + LATE_RETURN_DAYS)
        return _instant(late, self.settlement)

    def effective_date(self, day: date) -> date:
        """The settlement date of a transfer whose processing day is `day`."""
        return banking_days.add_banking_days(day, 2)

    def after_banking_days(self, instant: float, count: int) -> float:
        """Go on by banking days: to T + count, same time of day, not before settlement opens.

        Counted from T, so that what is accepted now has settled after two, whenever now is.
        """
        local = local_time(instant)
        day = banking_days.add_banking_days(self.processing_day(instant), count)
        return _instant(day, max(local.time(), self.settlement))

    @staticmethod
    def after_days(instant: float, count: int) -> float:
        """Go on by calendar days, same time of day in New York."""
        return (local_time(instant) + timedelta(days=count)).timestamp()


def local_time(instant: float) -> datetime:
    """An instant on New York's clock."""
    return datetime.fromtimestamp(instant, ZONE)


@lru_cache(maxsize=1024)
def rfc3339(instant: float) -> str:
    """An instant as text, with New York's offset, to the millisecond."""
    return local_time(instant).isoformat(timespec="milliseconds")


@lru_cache(maxsize=4096)
def _instant(day: date, at: time) -> float:
    return datetime.combine(day, at, ZONE).timestamp()
