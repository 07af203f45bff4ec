"""The targets that the bank must meet, and goals beyond them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean


class Comparison(StrEnum):
    """The kind of bound: a minimum or a maximum."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


class Standing(StrEnum):
    """The result of a comparison with a target or a goal."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Target:
    """One target: the bound of a figure, or of the ratio of a figure to others."""

    what: str
    figure: str
    comparison: Comparison
    bound: float
    """The value that the figure must meet."""
    goal: float | None = None
    """A stricter bound to aim for; None if there is none."""
    unit: str = ""
    over: Sequence[str] = ()
    """Divide by the mean of those of these figures that were measured. Empty: no division."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A target and its measured value."""

    target: Target
    value: float | None
    """None if it was not measured."""

    @property
    def standing(self) -> Standing:
        """Return whether the target was met."""
        return self._against(self.target.bound)

    @property
    def goal_standing(self) -> Standing | None:
        """Return whether the goal was met; None if there is no goal."""
        return None if self.target.goal is None else self._against(self.target.goal)

    def _against(self, limit: float) -> Standing:
        if self.value is None:
            return Standing.NOT_MEASURED
        good = (
            self.value >= limit
            if self.target.comparison is Comparison.AT_LEAST
            else self.value <= limit
        )
        return Standing.MET if good else Standing.MISSED


LOGIN = (
    Target(
        "logins, of the machine's limit for bcrypt",
        "login.per_s",
        Comparison.AT_LEAST,
        0.9,
        over=("login.limit_per_s",),
    ),
    Target(
        "p99 of transfers during 500 logins against calm",
        "storm.p99_ratio",
        Comparison.AT_MOST,
        1.5,
    ),
    Target(
        "check for revoked sessions, 100,000 entries",
        "login.check.full_us",
        Comparison.AT_MOST,
        5,
        unit="µs",
    ),
    Target(
        "requests refused while the provider changes its key",
        "login.new_key.refused",
        Comparison.AT_MOST,
        0,
    ),
    Target(
        "the longest time that a token works after its logout",
        "login.logout.p100_s",
        Comparison.AT_MOST,
        5,
        unit="s",
    ),
)
"""The targets of the part `login`."""

MESH = (
    Target(
        "edit of the mesh until the last ACK, 99 of 100",
        "control_plane.edit.p99_ms",
        Comparison.AT_MOST,
        150,
        unit="ms",
    ),
    Target(
        "CPU of a full push to 1,000 proxies",
        "control_plane.full_push.cpu_s",
        Comparison.AT_MOST,
        1,
        unit="s",
    ),
    Target(
        "a full push, over an edit for one proxy",
        "control_plane.to_one.times_cheaper",
        Comparison.AT_LEAST,
        20,
    ),
    Target(
        "memory with 1,000 proxies", "control_plane.rss_mib", Comparison.AT_MOST, 500, unit="MiB"
    ),
    Target(
        "CPU for one of 1,000 proxies against one of 250",
        "control_plane.cpu_growth",
        Comparison.AT_MOST,
        1.2,
    ),
    *(
        Target(f"failed transfers, {what}", f"control_plane.failed.{name}", Comparison.AT_MOST, 0)
        for what, name in (
            ("edits of the mesh", "edit"),
            ("a canary and its rollback", "canary"),
            ("rollback of a revision", "rollback"),
            ("restart and crash of the control plane", "restart"),
        )
    ),
    Target("CPU of a pass", "mesh.hop_cpu_us", Comparison.AT_MOST, 324, 150, "µs"),
)
"""The targets of the part `mesh`. CPU of pushes is that of the documented host."""

TARGETS = (
    Target("interbank transfers", "interbank.c64.per_s", Comparison.AT_LEAST, 250, 400, "a second"),
    Target("their latency, 99 of 100", "interbank.c64.p99_ms", Comparison.AT_MOST, 500, 300, "ms"),
    Target(
        "their speed against the baseline's",
        "interbank.c64.per_s",
        Comparison.AT_LEAST,
        0.25,
        1 / 3,
        over=("baseline.per_s", "baseline.after.per_s"),
    ),
    Target("CPU of one", "interbank.cpu_ms", Comparison.AT_MOST, 6.5, 4.0, "ms"),
    Target(
        "lag of its events, 99 of 100",
        "interbank.events_lag_p99_ms",
        Comparison.AT_MOST,
        1000,
        unit="ms",
    ),
    Target("book transfers", "book.c64.per_s", Comparison.AT_LEAST, 500, 950, "a second"),
    Target(
        "ledger function, spread", "ledger.spread.per_s", Comparison.AT_LEAST, 5000, unit="a second"
    ),
    Target(
        "ledger function, hot against spread",
        "ledger.hot.per_s",
        Comparison.AT_LEAST,
        0.9,
        over=("ledger.spread.per_s",),
    ),
    Target("cost at 1 million against 10 thousand", "growth.cpu_ratio_1m", Comparison.AT_MOST, 1.2),
    *LOGIN,
    *MESH,
    Target("warm start", "stack.up_warm_s", Comparison.AT_MOST, 20, unit="s"),
    Target("memory of the stack", "stack.rss_mib", Comparison.AT_MOST, 2560, unit="MiB"),
)


def judge(figures: Mapping[str, float]) -> list[Judged]:
    """Return every target with its measured value."""
    return [Judged(target, _value(target, figures)) for target in TARGETS]


def _value(target: Target, figures: Mapping[str, float]) -> float | None:
    value = figures.get(target.figure)
    if value is None or not target.over:
        return value
    below = [figures[name] for name in target.over if figures.get(name)]
    return value / mean(below) if below else None
