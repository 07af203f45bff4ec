"""What the bank is measured against: a mark that it has to meet and a goal beyond it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean


class Way(StrEnum):
    """Which side of the number is good."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


class Standing(StrEnum):
    """What came of a mark or goal."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Mark:
    """One line: a figure, or the quotient of two."""

    what: str
    figure: str
    way: Way
    mark: float
    goal: float | None = None
    """None where the goal asks no more than the mark."""
    unit: str = ""
    over: Sequence[str] = ()
    """The figures whose mean to divide by, of those that were measured; empty for none."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A mark with what was measured."""

    mark: Mark
    value: float | None
    """None when it was not measured."""

    @property
    def standing(self) -> Standing:
        """How the mark stands."""
        return self._against(self.mark.mark)

    @property
    def goal_standing(self) -> Standing | None:
        """How the goal stands; None where there is none."""
        return None if self.mark.goal is None else self._against(self.mark.goal)

    def _against(self, limit: float) -> Standing:
        if self.value is None:
            return Standing.NOT_MEASURED
        good = self.value >= limit if self.mark.way is Way.AT_LEAST else self.value <= limit
        return Standing.MET if good else Standing.MISSED


MARKS = (
    Mark("interbank transfers", "interbank.c64.per_s", Way.AT_LEAST, 250, 400, "a second"),
    Mark("their latency, 99 of 100", "interbank.c64.p99_ms", Way.AT_MOST, 500, 300, "ms"),
    Mark(
        "their speed against the floor's",
        "interbank.c64.per_s",
        Way.AT_LEAST,
        0.25,
        1 / 3,
        over=("floor.per_s", "floor.after.per_s"),
    ),
    Mark("CPU of one", "interbank.cpu_ms", Way.AT_MOST, 6.5, 4.0, "ms"),
    Mark(
        "lag of its events, 99 of 100", "interbank.events_lag_p99_ms", Way.AT_MOST, 1000, unit="ms"
    ),
    Mark("book transfers", "internal.c64.per_s", Way.AT_LEAST, 500, 950, "a second"),
    Mark("ledger function, spread", "ledger.spread.per_s", Way.AT_LEAST, 5000, unit="a second"),
    Mark(
        "ledger function, hot against spread",
        "ledger.hot.per_s",
        Way.AT_LEAST,
        0.9,
        over=("ledger.spread.per_s",),
    ),
    Mark("cost at 1 million against 10 thousand", "growth.cpu_ratio_1m", Way.AT_MOST, 1.2),
    Mark("warm start", "stack.up_warm_s", Way.AT_MOST, 20, unit="s"),
    Mark("memory of the stack", "stack.rss_mib", Way.AT_MOST, 2560, unit="MiB"),
)


def judge(figures: Mapping[str, float]) -> list[Judged]:
    """Return every mark with its value."""
    return [Judged(mark, _value(mark, figures)) for mark in MARKS]


def _value(mark: Mark, figures: Mapping[str, float]) -> float | None:
    value = figures.get(mark.figure)
    if value is None or not mark.over:
        return value
    below = [figures[name] for name in mark.over if figures.get(name)]
    return value / mean(below) if below else None
