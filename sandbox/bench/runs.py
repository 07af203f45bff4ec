"""One run: load from a process of its own, the drain behind it, and what it took and cost."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import orjson

from sandbox.bench import series, trail
from sandbox.bench.generator import Outcome, Plan
from sandbox.bench.meter import Spent, metered
from sandbox.bench.orders import Request
from sandbox.bench.stand import Stand
from sandbox.stack.home import REPO

REFUSED_SHARE_MAX = 0.001
"""More refusals than this make a run void: it would not have measured transfers."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much, how long."""

    name: str
    """What the figures are called by: "interbank.c64"."""
    connections: int
    warm_up_s: float
    seconds: float
    rate: float = 0.0
    """Arrivals a second, whatever the answers do; 0 for a closed loop."""
    slice_s: float = 1.0

    def sliced(self, slice_s: float) -> Load:
        """Return the same load with slices of another length."""
        return replace(self, slice_s=slice_s)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run showed."""

    load: Load
    outcome: Outcome
    spent: Spent
    """From the first request until the last event was on record."""
    drained: trail.Drained | None
    void: list[str] = field(default_factory=list[str])
    """Why the run counts for nothing; empty when it counts."""

    @property
    def per_s(self) -> float:
        """Accepted transfers a second."""
        return len(self.outcome.latencies_ms) / self.outcome.measured_s

    def percentile_ms(self, percent: float) -> float:
        """Return a latency that so many percent of the answers did not exceed."""
        return series.percentile(self.outcome.latencies_ms, percent)

    def each(self, total: float) -> float:
        """Return a total's share of one accepted transfer."""
        return total / self.outcome.accepted if self.outcome.accepted else 0.0

    def cpu_ms(self, seconds: float) -> float:
        """Return CPU seconds as milliseconds for each accepted transfer."""
        return 1000 * self.each(seconds)

    def figures(self) -> dict[str, float]:
        """Return the flat figures of this run."""
        spent = self.spent
        found = {
            "per_s": round(self.per_s, 1),
            **{f"p{p:g}_ms".replace(".", ""): self.percentile_ms(p) for p in (50, 95, 99, 99.9)},
            "cpu_ms": self.cpu_ms(spent.bank_cpu_s),
            "round_trips": self.each(spent.database.round_trips),
            "disk_bytes": self.each(spent.disk_bytes),
            "flushes": self.each(spent.database.flushes),
            "wal_bytes": self.each(spent.database.wal_bytes),
            "kafka_bytes": self.each(spent.kafka_bytes),
            "peak_mib": spent.peak_mib,
            "others_share": spent.others_share,
        }
        if self.drained is not None:
            found["events_lag_p99_ms"] = self.drained.lag_p99_ms
            found["drain_s"] = self.drained.seconds
        return {f"{self.load.name}.{name}": _rounded(value) for name, value in found.items()}


def _rounded(value: float) -> float:
    """Three digits behind the point are more than any of them is good for."""
    return round(value) if value >= 10_000 else round(value, 3 if value < 10 else 1)


async def run(
    stand: Stand,
    load: Load,
    requests: Sequence[Request],
    *,
    floor_pid: int | None = None,
    instead: Mapping[str, int] | None = None,
) -> Result:
    """Run a load; with `floor_pid` the floor stands in payments' place and leaves no trail.

    `instead` names parts in whose place another process stands for this run.
    """
    prefix = f"bench-{secrets.token_hex(6)}"
    pids = stand.pids() | dict(instead or {})
    if floor_pid is not None:
        pids["payments"] = floor_pid
    drained = None
    async with metered(stand, pids) as spent:
        outcome = await _generate(stand, load, requests, prefix)
        void = refusals(outcome)
        if floor_pid is None:
            try:
                drained = await trail.drain(stand, outcome, load.warm_up_s)
            except TimeoutError as error:
                void.append(str(error))
    if floor_pid is None:
        void += await trail.differences(stand, outcome, prefix)
    return Result(load, outcome, spent, drained, void)


def refusals(outcome: Outcome) -> list[str]:
    """Return why too many refusals make a run void; nothing when there are few."""
    refused = sum(outcome.refused.values()) + outcome.unanswered
    if refused <= REFUSED_SHARE_MAX * outcome.sent:
        return []
    shown = " ".join(outcome.refusals_shown[:1])
    return [f"{refused} of {outcome.sent} requests were refused or unanswered: {shown}"]


async def _generate(stand: Stand, load: Load, requests: Sequence[Request], prefix: str) -> Outcome:
    plan = Plan(
        host=stand.gateway_host,
        port=stand.gateway_port,
        ca_file=stand.where["BP_CA_FILE"],
        connections=load.connections,
        warm_up_s=load.warm_up_s,
        seconds=load.seconds,
        key_prefix=prefix,
        heads=[head for head, _ in requests],
        bodies=[body for _, body in requests],
        rate=load.rate,
        slice_s=load.slice_s,
    )
    with tempfile.TemporaryDirectory() as folder:
        plan_file, outcome_file = Path(folder) / "plan.json", Path(folder) / "outcome.json"
        plan_file.touch(mode=0o600)  # it holds the customers' tokens
        plan_file.write_bytes(orjson.dumps(asdict(plan)))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sandbox.bench.generator", str(plan_file), str(outcome_file)),
            cwd=REPO,
        )
        if await process.wait():
            raise RuntimeError(f"the load generator ended with {process.returncode}")
        return Outcome(**orjson.loads(outcome_file.read_bytes()))
