"""One run: the load, then the drain of its events, with latency, cost and completeness."""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import orjson

from lab.bench import series
from lab.bench.load.generator import MEASURING, Outcome, Plan
from lab.bench.load.orders import Request
from lab.bench.meters import completeness
from lab.bench.meters.meter import Spent, metered
from lab.bench.test_bench import TestBench
from sandbox.client import TOKEN_LIFE_S
from sandbox.stack.home import REPO

REFUSED_SHARE_MAX = 0.001
"""A larger share of refused requests makes a run void, because it did not measure transfers."""
TOKENS_USED_S = TOKEN_LIFE_S * 2 / 3
"""How long a run uses its tokens before it changes to new ones."""


During = AbstractAsyncContextManager["asyncio.Future[Any] | None"]
"""Other work of a run: it begins with the measured time and ends after the last answer. It may give
a future: when that is done, the measured time ends early."""


@dataclass(frozen=True, slots=True)
class Load:
    """The amount of load and its duration."""

    name: str
    """Prefix of the run's figures, such as "interbank.c64"."""
    connections: int
    warm_up_s: float
    seconds: float
    rate: float = 0.0
    """Arrivals a second, independent of the answers. 0: a closed loop."""
    slice_s: float = 1.0

    @property
    def whole_s(self) -> float:
        """How long the run sends requests, including the warm-up."""
        return self.warm_up_s + self.seconds

    def sliced(self, slice_s: float) -> Load:
        """Return the same load with slices of another length."""
        return replace(self, slice_s=slice_s)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run."""

    load: Load
    outcome: Outcome
    spent: Spent
    """From the first request until the last event is in the audit log."""
    drained: completeness.Drained | None
    void: list[str] = field(default_factory=list[str])
    """Reasons why the run is void; empty if it is valid."""

    @property
    def per_s(self) -> float:
        """Accepted transfers a second."""
        return len(self.outcome.latencies_ms) / self.outcome.measured_s

    def percentile_ms(self, percent: float) -> float:
        """Return the latency that `percent` of the answers did not exceed."""
        return series.percentile(self.outcome.latencies_ms, percent)

    def each(self, total: float) -> float:
        """Return a total divided by the number of accepted transfers."""
        return total / self.outcome.accepted if self.outcome.accepted else 0.0

    def cpu_ms(self, seconds: float) -> float:
        """Return CPU seconds as milliseconds for each accepted transfer."""
        return 1000 * self.each(seconds)

    def figures(self) -> dict[str, float]:
        """Return the figures of this run under their flat names."""
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
    """Round to at most three decimals, because no figure is more exact."""
    return round(value) if value >= 10_000 else round(value, 3 if value < 10 else 1)


async def run(
    test_bench: TestBench,
    load: Load,
    requests: Sequence[Request],
    *,
    baseline_pid: int | None = None,
    instead: Mapping[str, int] | None = None,
    later: Sequence[Sequence[Request]] = (),
    during: During | None = None,
) -> Result:
    """Run a load and check that every accepted transfer is complete.

    `baseline_pid` is the process id of the baseline when it replaces payments. The baseline has no
    events, so the run does not wait for them and does not check completeness. `instead` has the
    process id of each process that replaces a part in this run. `later` has the same requests with
    new tokens, once for each later `TOKENS_USED_S` of the run. `during` is entered when the warm-up
    has ended.
    """
    prefix = f"bench-{secrets.token_hex(6)}"
    pids = test_bench.pids() | dict(instead or {})
    if baseline_pid is not None:
        pids["payments"] = baseline_pid
    drained = None
    async with metered(test_bench, pids) as spent:
        plan = _plan(test_bench, load, requests, prefix, later)
        outcome = await _generate(plan, during or nullcontext())
        void = refusals(outcome)
        if baseline_pid is None:
            try:
                drained = await completeness.drain(test_bench, outcome, load.warm_up_s)
            except TimeoutError as error:
                void.append(str(error))
    if baseline_pid is None:
        void += await completeness.differences(test_bench, outcome, prefix)
    return Result(load, outcome, spent, drained, void)


def refusals(outcome: Outcome) -> list[str]:
    """Return the reason if too many refusals make a run void; otherwise an empty list."""
    refused = sum(outcome.refused.values()) + outcome.unanswered
    if refused <= REFUSED_SHARE_MAX * outcome.sent:
        return []
    shown = " ".join(outcome.refusals_shown[:1])
    return [f"{refused} of {outcome.sent} requests were refused or unanswered: {shown}"]


def _plan(
    test_bench: TestBench,
    load: Load,
    requests: Sequence[Request],
    prefix: str,
    later: Sequence[Sequence[Request]],
) -> Plan:
    return Plan(
        host=test_bench.gateway_host,
        port=test_bench.gateway_port,
        ca_file=test_bench.where["BP_CA_FILE"],
        connections=load.connections,
        warm_up_s=load.warm_up_s,
        seconds=load.seconds,
        key_prefix=prefix,
        heads=[head for head, _ in requests],
        bodies=[body for _, body in requests],
        rate=load.rate,
        slice_s=load.slice_s,
        later_heads=[[head for head, _ in each] for each in later],
        heads_s=TOKENS_USED_S,
    )


async def _generate(plan: Plan, during: During) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        plan_file, outcome_file = Path(folder) / "plan.json", Path(folder) / "outcome.json"
        plan_file.touch(mode=0o600)  # it contains the customers' tokens
        plan_file.write_bytes(orjson.dumps(asdict(plan)))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lab.bench.load.generator", str(plan_file), str(outcome_file)),
            cwd=REPO,
            stdout=PIPE,
            start_new_session=True,
        )
        report = await cast("asyncio.StreamReader", process.stdout).readline()
        async with during if report == MEASURING else nullcontext() as over:
            await _ended(process, over)
        if process.returncode:
            raise RuntimeError(f"the load generator ended with {process.returncode}")
        return Outcome(**orjson.loads(outcome_file.read_bytes()))


async def _ended(process: asyncio.subprocess.Process, over: asyncio.Future[Any] | None) -> None:
    """Wait until the load generator has ended. When `over` is done, it ends its run early."""
    ended = asyncio.create_task(process.wait())
    if over is not None:
        await asyncio.wait((ended, over), return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
    await ended
