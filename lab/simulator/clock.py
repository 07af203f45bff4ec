"""Virtual time as dates and seconds, the skewed clocks of processes, and ids made from the time."""

import uuid
from datetime import datetime, timedelta

from asyncpg.pgproto.pgproto import UUID as StoredUUID

from lab.simulator.loop import VirtualLoop
from lab.simulator.processes import SKEW_S

DAY_S = 86_400.0


class Clock:
    """The true time of a world, and the time as its processes see it."""

    def __init__(self, loop: VirtualLoop, start: datetime) -> None:
        self.start = start
        self._start_s = start.timestamp()
        self._loop = loop

    def wall_s(self) -> float:
        """Return the true time, in seconds since the epoch."""
        return self._start_s + self._loop.now_s

    def now(self) -> datetime:
        """Return the true time."""
        return self.start + timedelta(seconds=self._loop.now_s)

    def process_wall_s(self) -> float:
        """Return the running process's time, in seconds since the epoch."""
        return self.wall_s() + SKEW_S.get()

    def process_now(self) -> datetime:
        """Return the date and time by the running process's clock."""
        return self.start + timedelta(seconds=self._loop.now_s + SKEW_S.get())


class Ids:
    """UUIDv7s in the order in which they are drawn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._drawn = 0

    def new_id(self, shard: int | None = None) -> uuid.UUID:
        """Return a UUIDv7 of this moment, different from all earlier ones.

        The class is asyncpg's faster UUID, in which production gets its ids.
        """
        self._drawn += 1
        milliseconds = int(self._clock.wall_s() * 1000)
        low = self._drawn << 6 | (self._drawn * 37 % 64 if shard is None else shard)
        number = milliseconds << 80 | 7 << 76 | 2 << 62 | low
        return StoredUUID(number.to_bytes(16, "big"))
