"""Reads the moments that filters of lists carry as text."""

from datetime import UTC, datetime

from services.kernel.errors import FieldViolation, InvalidArgument


def moment_of(text: str, field: str) -> datetime | None:
    """Return the moment of an RFC 3339 text in UTC, None for ""; raise InvalidArgument.

    `field` is the parameter's name as the caller writes it.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(FieldViolation(field, "no such date or time")) from None
    return moment.astimezone(UTC)
