"""A range of time that limits a list, and the range of ids that its rows have. Pure."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, tzinfo=UTC)
_LAST_ID = uuid.UUID(int=(1 << 128) - 1)

ID_MARGIN = timedelta(minutes=1)
"""The largest difference between a row's create_time and the time in its id. The bank draws an id
within the call that creates the row."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The rows created at or after `time_from` and before `time_to`; None means without a limit."""

    time_from: datetime | None = None
    time_to: datetime | None = None

    @property
    def start(self) -> datetime:
        """The first moment."""
        return self.time_from or _EPOCH

    @property
    def end(self) -> datetime:
        """The moment after the last one."""
        return self.time_to or _LAST

    @property
    def first_id(self) -> uuid.UUID:
        """A lower bound of the ids of all rows in the range."""
        return _floor(max(self.start, _EPOCH + ID_MARGIN) - ID_MARGIN)

    @property
    def end_id(self) -> uuid.UUID:
        """An id above that of every row in the range."""
        return _floor(self.end + ID_MARGIN) if self.end < _LAST else _LAST_ID


ANY_TIME = TimeRange()
"""All rows."""


def _floor(moment: datetime) -> uuid.UUID:
    """Return the smallest UUIDv7 of a moment, as chassis.id_floor does in SQL."""
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    return uuid.UUID(int=min(max(milliseconds, 0), (1 << 48) - 1) << 80)
