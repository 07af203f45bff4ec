"""Shared by all parts of a bench: the test bench, callers, length of the runs, findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.bench.load.orders import Payer, Request
from lab.bench.runs import During, Load, Result, run
from lab.bench.test_bench import TestBench

QUICK_WARM_UP_S = 2.0
QUICK_S = 6.0
OPEN_CONNECTIONS = 256
"""More connections than requests in flight, so that an arrival rarely waits for a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How long the runs are and how many connections they use."""

    quick: bool = False
    long: bool = False
    seconds: float | None = None
    """Measured seconds of each run. None: each run uses its own default."""
    quick_warm_up_s: float = QUICK_WARM_UP_S
    """Warm-up of each run, if `quick`."""
    connections: int = 64
    peer: Path | None = None
    """A file with the SQL of another ledger, measured for comparison."""

    def load(self, name: str, connections: int, warm_up_s: float, seconds: float) -> Load:
        """Return a closed loop with the given length, unless the options ask for another."""
        if self.quick:
            warm_up_s, seconds = self.quick_warm_up_s, QUICK_S
        return Load(name, connections, warm_up_s, self.seconds or seconds)

    def arrivals(self, name: str, rate: float, warm_up_s: float, seconds: float) -> Load:
        """Return open arrivals at `rate` a second."""
        closed = self.load(name, OPEN_CONNECTIONS, warm_up_s, seconds)
        return Load(name, closed.connections, closed.warm_up_s, closed.seconds, round(rate, 1))


@dataclass(slots=True)
class Findings:
    """The results so far."""

    results: list[Result] = field(default_factory=list[Result])
    figures: dict[str, float] = field(default_factory=dict[str, float])
    """Figures that do not belong to a single run."""
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    """The data behind the figures, for the report."""
    too_many: bool = False
    """The test bench has more transfers than the judge can keep in memory."""
    void: list[str] = field(default_factory=list[str])
    """Reasons why the whole bench is void, in addition to the reasons of single runs."""

    @property
    def reasons(self) -> list[str]:
        """All reasons why the bench is void."""
        named = [f"{one.load.name}: {reason}" for one in self.results for reason in one.void]
        return named + self.void

    def others_share_max(self) -> float:
        """The largest share of the machine that other processes had in a run."""
        return max((one.spent.others_share for one in self.results), default=0.0)

    def best_per_s(self) -> float | None:
        """The most interbank transfers a second of any closed loop. None: no closed loop ran."""
        speeds = [one.per_s for one in self.results if one.load.name.startswith("interbank.c")]
        return max(speeds, default=None)


@dataclass(frozen=True, slots=True)
class Bench:
    """A running bank with its callers."""

    test_bench: TestBench
    callers: Sequence[Payer]
    scale: Scale
    found: Findings
    say: Callable[[str], None]
    """Reports progress; called with the name of the next step."""

    async def measure(
        self,
        load: Load,
        requests: Sequence[Request],
        *,
        baseline_pid: int | None = None,
        instead: Mapping[str, int] | None = None,
        later: Sequence[Sequence[Request]] = (),
        during: During | None = None,
    ) -> Result:
        """Run a load and add its result to the findings. See `runs.run` for the arguments."""
        self.say(f"{load.name}: {load.warm_up_s + load.seconds:g} s")
        result = await run(
            self.test_bench,
            load,
            requests,
            baseline_pid=baseline_pid,
            instead=instead,
            later=later,
            during=during,
        )
        self.found.results.append(result)
        return result
