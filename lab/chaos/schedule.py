"""Plans which fault happens when. Pure: the same seed, length and roster give the same schedule.

A schedule has at most OVERLAP_MAX faults at once and never two on one part. All faults end before
the schedule ends.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

OVERLAP_MAX = 3
FIRST_AFTER_S = 2.0
"""The load runs this long before the first fault."""
QUIET_S = 1.0
"""The last fault ends at least this long before the schedule ends."""
GAP_S = (1.5, 6.0)
"""Shortest and longest time between the starts of two faults."""

PARTNER_PREFIX = "partner-"
CLEARING_HOUSE = "ach"
READERS = ("relay", "router", "customers", "audit", "notifications")
"""Parts that read from a queue, which fills while the part is paused."""


class Kind(StrEnum):
    """The kind of a fault."""

    KILL = "kill -9"
    PAUSE = "pause"
    RESTART = "restart"
    LATENCY = "latency"
    HANG = "hang"
    RESET = "reset"
    HTTP_5XX = "5xx"
    ACCEPT_THEN_HANG = "accept then hang"
    LATE_NOTICES = "late notices"
    DOUBLE_NOTICES = "double notices"
    BACKLOG = "reader paused under load"
    BURST = "burst beyond the queues"


# A tuple: the order of a set differs between processes, so a seed would have several schedules.
PARTNER_FAULTS = (Kind.LATENCY, Kind.HANG, Kind.RESET, Kind.HTTP_5XX, Kind.ACCEPT_THEN_HANG)
"""Faults that a partner's control API causes. The target is the partner's name."""

_WEIGHTS: Mapping[Kind, int] = {
    Kind.KILL: 6,
    Kind.PAUSE: 4,
    Kind.RESTART: 2,
    **dict.fromkeys(PARTNER_FAULTS, 1),
    Kind.LATE_NOTICES: 1,
    Kind.DOUBLE_NOTICES: 1,
    Kind.BACKLOG: 1,
    Kind.BURST: 1,
}

_LASTS_S: Mapping[Kind, tuple[float, float]] = {
    # A crash and a restart are instant. During this time the part starts, and gets no other fault.
    Kind.KILL: (6.0, 6.0),
    Kind.RESTART: (8.0, 8.0),
    Kind.PAUSE: (1.0, 8.0),
    **dict.fromkeys(PARTNER_FAULTS, (2.0, 8.0)),
    Kind.LATE_NOTICES: (3.0, 8.0),
    Kind.DOUBLE_NOTICES: (3.0, 6.0),
    Kind.BACKLOG: (6.0, 12.0),
    Kind.BURST: (4.0, 4.0),
}


@dataclass(frozen=True, slots=True)
class Roster:
    """The processes into which a fault can be injected. Partners are also listed without their
    prefix."""

    processes: tuple[str, ...]

    def __post_init__(self) -> None:
        """Sort the names, so that the order of the caller does not matter."""
        object.__setattr__(self, "processes", tuple(sorted(self.processes)))

    @property
    def partners(self) -> tuple[str, ...]:
        """Names of the partners."""
        prefix = PARTNER_PREFIX
        return tuple(p.removeprefix(prefix) for p in self.processes if p.startswith(prefix))

    def targets(self, kind: Kind) -> tuple[str, ...]:
        """Return the possible targets of a kind of fault."""
        if kind in PARTNER_FAULTS:
            return self.partners
        if kind in (Kind.LATE_NOTICES, Kind.DOUBLE_NOTICES):
            return tuple(one for one in self.partners if one == CLEARING_HOUSE)
        if kind is Kind.BACKLOG:
            return tuple(one for one in READERS if one in self.processes)
        return ("load",) if kind is Kind.BURST else self.processes


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: kind, target, start and length. Times are seconds of the schedule."""

    at_s: float
    lasts_s: float
    kind: Kind
    target: str
    share: float = 1.0
    """The share of a partner's requests that fail."""

    @property
    def end_s(self) -> float:
        """Return the time at which the fault ends."""
        return self.at_s + self.lasts_s

    @property
    def part(self) -> str:
        """Return the name of the affected process. No other fault may affect it during this
        time."""
        of_partner = self.kind in PARTNER_FAULTS or self.kind in _NOTICES
        return PARTNER_PREFIX + self.target if of_partner else self.target


_NOTICES = frozenset({Kind.LATE_NOTICES, Kind.DOUBLE_NOTICES})


def schedule(seed: int, seconds: float, roster: Roster) -> tuple[Fault, ...]:
    """Return the faults of a seed, ordered by start."""
    dice = random.Random(seed)
    chosen: list[Fault] = []
    at_s = FIRST_AFTER_S
    while at_s < seconds - QUIET_S:
        fault = _rolled(dice, at_s, roster)
        at_s = round(at_s + dice.uniform(*GAP_S), 1)
        if fault is None or fault.end_s > seconds - QUIET_S:
            continue
        running = [one for one in chosen if one.end_s > fault.at_s]
        taken = {one.part for one in running}
        if len(running) < OVERLAP_MAX and fault.part not in taken:
            chosen.append(fault)
    return tuple(chosen)


def _rolled(dice: random.Random, at_s: float, roster: Roster) -> Fault | None:
    """Draw one fault. None: the roster has no target for the drawn kind."""
    (kind,) = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
    lasts_s = round(dice.uniform(*_LASTS_S[kind]), 1)
    share = dice.choice((0.3, 0.6, 1.0))
    targets = roster.targets(kind)
    if not targets:
        return None
    target = dice.choice(targets)
    return Fault(at_s, lasts_s, kind, target, share if kind in PARTNER_FAULTS else 1.0)
