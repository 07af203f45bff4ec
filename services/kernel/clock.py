"""Time as the decisions see it: aware, in UTC, and handed in from outside."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)
