"""Randomness under a seed: whether a fault happens here, and how long things take. Pure.

A draw depends only on the seed, the point, the entity, and how many draws came before at this point
for this entity. Therefore removing transfers or faults from a run does not change the other draws,
as shrinking requires.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

_MASK = (1 << 64) - 1
_UNIT = 1.0 / (1 << 53)
_QUIET_POINT = 1000
"""Draws that are not faults have points from this number on.

A part numbers its draws (`what`) below 1000. Used numbers: 1-4, 7, 11-13, 31-35, 50-61, 71, 81-82,
90-97, 101-106. Draws with the same number for the same entity share a counter, so a new part
needs free numbers.
"""


class Point(IntEnum):
    """A place where a fault can happen."""

    DB_LOST_BEFORE = 1
    DB_LOST_AFTER = 2
    DB_CRASH_BEFORE = 3
    DB_CRASH_AFTER = 4
    DB_SLOW = 5
    ACH_REQUEST_LOST = 10
    ACH_ANSWER_LOST = 11
    ACH_LATE = 12
    ACH_TWICE = 13
    ACH_ERROR_BEFORE = 14
    ACH_ERROR_AFTER = 15
    ACH_SLOW = 16
    ACH_CRASH_BEFORE = 17
    ACH_CRASH_AFTER = 18
    ACH_OUTAGE = 19
    ACH_RESTART = 20
    NOTICE_LOST = 30
    NOTICE_ANSWER_LOST = 31
    NOTICE_TWICE = 32
    NOTICE_HELD = 33
    NOTICE_GONE = 34
    CALL_LOST = 40
    CALL_ANSWER_LOST = 41
    CALL_SLOW = 42
    PROCESS_CRASH = 50
    PROCESS_PAUSE = 51
    RELAY_CRASH_SENDING = 60
    RELAY_CRASH_SENT = 61
    ROUTER_ABORT = 62
    CONSUMER_AGAIN = 63
    COMMIT_SEEN_LATE = 64
    FRAUD_SILENT = 70
    CUSTOMERS_AWAY = 71


RATES: dict[Point, float] = {
    Point.DB_LOST_BEFORE: 0.004,
    Point.DB_LOST_AFTER: 0.004,
    Point.DB_CRASH_BEFORE: 0.001,
    Point.DB_CRASH_AFTER: 0.001,
    Point.DB_SLOW: 0.006,
    Point.ACH_REQUEST_LOST: 0.02,
    Point.ACH_ANSWER_LOST: 0.02,
    Point.ACH_LATE: 0.02,
    Point.ACH_TWICE: 0.02,
    Point.ACH_ERROR_BEFORE: 0.02,
    Point.ACH_ERROR_AFTER: 0.01,
    Point.ACH_SLOW: 0.02,
    Point.ACH_CRASH_BEFORE: 0.002,
    Point.ACH_CRASH_AFTER: 0.002,
    Point.ACH_OUTAGE: 0.02,
    Point.ACH_RESTART: 0.02,
    Point.NOTICE_LOST: 0.03,
    Point.NOTICE_ANSWER_LOST: 0.03,
    Point.NOTICE_TWICE: 0.04,
    Point.NOTICE_HELD: 0.02,
    Point.NOTICE_GONE: 0.08,
    Point.CALL_LOST: 0.02,
    Point.CALL_ANSWER_LOST: 0.02,
    Point.CALL_SLOW: 0.02,
    Point.PROCESS_CRASH: 0.02,
    Point.PROCESS_PAUSE: 0.02,
    Point.RELAY_CRASH_SENDING: 0.01,
    Point.RELAY_CRASH_SENT: 0.01,
    Point.ROUTER_ABORT: 0.02,
    Point.CONSUMER_AGAIN: 0.02,
    Point.COMMIT_SEEN_LATE: 0.05,
    Point.FRAUD_SILENT: 0.02,
    Point.CUSTOMERS_AWAY: 0.005,
}
"""Base probability of each fault where it can happen. Each world multiplies all by one factor."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault that happened: its point, its entity, and the number of the draw."""

    point: Point
    entity: int
    number: int

    def __str__(self) -> str:
        return f"{self.point.name}:{self.entity}:{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Parse the output of str()."""
        name, entity, number = text.split(":")
        return cls(Point[name], int(entity), int(number))


class Randomness:
    """The random draws of one world."""

    def __init__(self, seed: int, allowed: Collection[Fault] | None = None) -> None:
        """With `allowed`, only those faults happen."""
        self._seed = _mixed(seed + 1)
        self._allowed = None if allowed is None else frozenset(allowed)
        self._numbers: dict[tuple[int, int], int] = {}
        weather = (0.2, 0.4, 0.8, 1.6)[self.pick(4, 7, 0)]
        self._rates = {point: rate * weather for point, rate in RATES.items()}
        self._sums: dict[tuple[Point, ...], float] = {}
        self.injected: list[Fault] = []
        self.is_calm = False
        """Set at the end of a run: after that, faults happen only where the caller allows them."""

    def injects(self, point: Point, entity: int, *, in_calm: bool = False) -> bool:
        """Return whether a fault happens at this point now; with `in_calm`, also at the end."""
        place = (point, entity)
        number = self._numbers.get(place, 0)
        self._numbers[place] = number + 1
        is_calm = self.is_calm and not in_calm
        if is_calm or self._draw(point, entity, number) >= self._rates[point]:
            return False
        return self._happens(Fault(point, entity, number))

    def which(self, points: tuple[Point, ...], entity: int) -> Point | None:
        """Return which of several faults happens here, this time, or None. One draw for all."""
        place = (points[0], entity)
        number = self._numbers.get(place, 0)
        self._numbers[place] = number + 1
        if self.is_calm:
            return None
        drawn = self._draw(points[0], entity, number)
        if drawn > self._sum(points):
            return None
        for point in points:
            drawn -= self._rates[point]
            if drawn < 0:
                return point if self._happens(Fault(point, entity, number)) else None
        return None

    def _sum(self, points: tuple[Point, ...]) -> float:
        """Return the sum of the rates plus a margin for rounding, because `which` checks
        exactly."""
        known = self._sums.get(points)
        if known is None:
            known = self._sums[points] = sum(self._rates[point] for point in points) + 1e-9
        return known

    def _happens(self, fault: Fault) -> bool:
        if self._allowed is not None and fault not in self._allowed:
            return False
        self.injected.append(fault)
        return True

    def between(self, low: float, high: float, what: int, entity: int) -> float:
        """Return a number in the range. Each call for the same entity draws a new one."""
        place = (_QUIET_POINT + what, entity)
        number = self._numbers.get(place, 0)
        self._numbers[place] = number + 1
        return low + (high - low) * self._draw(place[0], entity, number)

    def pick(self, count: int, what: int, entity: int) -> int:
        """Return 0 to count - 1, always the same for the same entity."""
        return int(self._draw(2 * _QUIET_POINT + what, entity, 0) * count)

    def _draw(self, point: int, entity: int, number: int) -> float:
        """Return a number from 0 to 1 by splitmix64's finaliser, so that similar inputs give
        unrelated outputs."""
        value = self._seed ^ (point << 48) ^ (number << 32) ^ (entity & 0xFFFFFFFF)
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((value ^ (value >> 31)) >> 11) * _UNIT


def _mixed(value: int) -> int:
    """Spread a small seed over 64 bits."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
