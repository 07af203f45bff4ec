"""One run: load from a process of its own, the drain behind it, and what it took and cost."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from sandbox.bench import cpu, database, trail
from sandbox.bench.generator import Outcome, Plan
from sandbox.bench.orders import Request
from sandbox.bench.stand import Stand
from sandbox.stack.home import REPO

REFUSED_SHARE_MAX = 0.001
"""More refusals than this make a run void: it would not have measured transfers."""

STATISTICS_IN = "bp_write"
"""A database that has pg_stat_statements; it shows the statements of all."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much, how long."""

    name: str
    """What the figures are called by: "interbank.c64"."""
    connections: int
    warm_up_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a run showed."""

    load: Load
    outcome: Outcome
    cpu_s: dict[str, float]
    """CPU seconds by part, from the first request until the last event was on record."""
    drained: trail.Drained | None
    database: database.Work
    """What PostgreSQL did in the same time."""
    void: list[str]
    """Why the run counts for nothing; empty when it counts."""

    @property
    def per_s(self) -> float:
        """Accepted transfers a second."""
        return len(self.outcome.latencies_ms) / self.outcome.measured_s

    def percentile_ms(self, percent: float) -> float:
        """Return a latency that so many percent of the answers did not exceed."""
        ordered = self.outcome.latencies_ms
        if not ordered:
            return 0.0
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def cpu_ms(self, seconds: float) -> float:
        """Return CPU seconds as milliseconds for each accepted transfer."""
        return 1000 * seconds / self.outcome.accepted if self.outcome.accepted else 0.0

    def figures(self) -> dict[str, float]:
        """Return the flat figures of this run."""
        name = self.load.name
        percentiles = {f"{name}.p{p}_ms": round(self.percentile_ms(p), 1) for p in (50, 95, 99)}
        return {f"{name}.per_s": round(self.per_s, 1), **percentiles}


async def run(
    stand: Stand, load: Load, requests: Sequence[Request], *, floor_pid: int | None = None
) -> Result:
    """Run a load; with `floor_pid` the floor stands in payments' place and leaves no trail."""
    prefix = f"bench-{secrets.token_hex(6)}"
    pids = stand.pids()
    if floor_pid is not None:
        pids["payments"] = floor_pid
    asked = await _asked(stand)
    before = cpu.snapshot(pids)
    outcome = await _generate(stand, load, requests, prefix)
    void = refusals(outcome)
    drained = None
    if floor_pid is None:
        try:
            drained = await trail.drain(stand, outcome, load.warm_up_s)
        except TimeoutError as error:
            void.append(str(error))
    used = cpu.between(before, cpu.snapshot(pids))
    work = database.between(asked, await _asked(stand))
    if floor_pid is None:
        void += await trail.differences(stand, outcome, prefix)
    return Result(load, outcome, used, drained, work, void)


async def _asked(stand: Stand) -> database.Snapshot:
    connection = await stand.connect(STATISTICS_IN)
    try:
        return await database.Snapshot.take(connection)
    finally:
        await connection.close()


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
