"""What the parts of one bench share: the stand, the callers, how long to run, what was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.bench.orders import Payer, Request
from sandbox.bench.runs import Load, Result, run
from sandbox.bench.stand import Stand

QUICK_WARM_UP_S = 2.0
QUICK_S = 6.0
OPEN_CONNECTIONS = 256
"""More than are ever under way at once, so that an arrival hardly ever waits for one."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How long and how wide."""

    quick: bool = False
    long: bool = False
    seconds: float | None = None
    """Measured seconds of each run; None for each run's own."""
    connections: int = 64
    peer: Path | None = None
    """A file with the SQL of another ledger to measure beside ours."""

    def load(self, name: str, connections: int, warm_up_s: float, seconds: float) -> Load:
        """Return a closed loop of usual length, or of the one that was asked for."""
        if self.quick:
            warm_up_s, seconds = QUICK_WARM_UP_S, QUICK_S
        return Load(name, connections, warm_up_s, self.seconds or seconds)

    def arrivals(self, name: str, rate: float, warm_up_s: float, seconds: float) -> Load:
        """Return open arrivals at a rate."""
        closed = self.load(name, OPEN_CONNECTIONS, warm_up_s, seconds)
        return Load(name, closed.connections, closed.warm_up_s, closed.seconds, round(rate, 1))


@dataclass(slots=True)
class Findings:
    """What was measured so far."""

    results: list[Result] = field(default_factory=list[Result])
    figures: dict[str, float] = field(default_factory=dict[str, float])
    """Figures that are not those of a single run."""
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the figures were made of, for the report."""
    too_many: bool = False
    """The stand holds more than the judge could keep in memory."""
    void: list[str] = field(default_factory=list[str])
    """Why the bench counts for nothing, beside the reasons of single runs."""

    @property
    def reasons(self) -> list[str]:
        """All reasons for which the bench counts for nothing."""
        named = [f"{one.load.name}: {reason}" for one in self.results for reason in one.void]
        return named + self.void

    def others_share_max(self) -> float:
        """The largest share of the machine that others had in a run."""
        return max((one.spent.others_share for one in self.results), default=0.0)

    def best_per_s(self) -> float | None:
        """The most interbank transfers a second of a closed loop; None when none ran."""
        speeds = [one.per_s for one in self.results if one.load.name.startswith("interbank.c")]
        return max(speeds, default=None)


@dataclass(frozen=True, slots=True)
class Bench:
    """A running bank with its callers."""

    stand: Stand
    callers: Sequence[Payer]
    scale: Scale
    found: Findings
    say: Callable[[str], None]
    """Tells who waits what runs now."""

    async def measure(
        self,
        load: Load,
        requests: Sequence[Request],
        *,
        floor_pid: int | None = None,
        instead: Mapping[str, int] | None = None,
    ) -> Result:
        """Run a load and keep its result."""
        self.say(f"{load.name}: {load.warm_up_s + load.seconds:g} s")
        result = await run(self.stand, load, requests, floor_pid=floor_pid, instead=instead)
        self.found.results.append(result)
        return result
