"""Reads times from strings in the filters of lists."""

from datetime import UTC, datetime

from services.kernel.errors import FieldViolation, InvalidArgument
from services.kernel.time_range import TimeRange


def time_range(create_time_from: str, create_time_to: str) -> TimeRange:
    """Return the range of a list's filters, "" for no limit; raise InvalidArgument."""
    return TimeRange(
        moment_of(create_time_from, "createTimeFrom"), moment_of(create_time_to, "createTimeTo")
    )


def moment_of(text: str, field: str) -> datetime | None:
    """Return the time of an RFC 3339 string in UTC; None for "", or raise InvalidArgument.

    `field` is the parameter's name as the caller writes it.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(FieldViolation(field, "no such date or time")) from None
    return moment.astimezone(UTC)
