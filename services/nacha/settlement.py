"""When a transfer in the standard (next-day) batch settles. Pure.

The times come from the bank's agreement with the clearing house and are in New York time.
"""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.nacha.banking_days import add_banking_days

ZONE = ZoneInfo("America/New_York")
CUTOFF = time(22, 0)
"""A transfer accepted at this time or later is in the batch of the next banking day."""
SETTLEMENT_DAYS = 2
"""Banking days between the day of the batch and the settlement."""


def expected_date(submit_time: datetime) -> date:
    """Return the settlement date of a transfer, from its time of acceptance (with a time zone)."""
    local = submit_time.astimezone(ZONE)
    day = local.date() + timedelta(days=local.time() >= CUTOFF)
    return add_banking_days(day, SETTLEMENT_DAYS)
