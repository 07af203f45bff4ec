"""The charts of a report: throughput and functions with peers, latency, CPU by process. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.bench.report import peers
from lab.bench.report.charts import Bar, Stack, bars, stacks
from lab.bench.report.peers import Peer

NAMES = {
    "baseline": "baseline: one durable debit",
    "book.c64": "book transfers",
    "interbank.c16": "interbank, 16 connections",
    "interbank.c64": "interbank, 64 connections",
    "interbank.c128": "interbank, 128 connections",
    "no_sidecar.c64": "interbank, no sidecar",
    "open100": "interbank, 100/s arriving",
    "open70": "interbank, 70 % of the best",
}
"""Labels of the runs, in the order of the charts."""
WITH_CPU = ("baseline", "book.c64", "interbank.c64")
FUNCTIONS = {"ledger.spread": "BP ledger function", "ledger.hot": "BP ledger, one hot account"}


def draw(report: Mapping[str, Any]) -> dict[str, str]:
    """Return each chart by its file name."""
    return {
        "throughput.svg": throughput(report["figures"]),
        "functions.svg": functions(report["figures"]),
        "latency.svg": latency(report["figures"]),
        "cpu.svg": cpu(report["runs"]),
    }


def throughput(figures: Mapping[str, float]) -> str:
    """Draw the throughput of the bank and of its peers."""
    rows = [
        Bar(f"BP {NAMES[run]}", value, f"{value:,.0f}")
        for run in ("book.c64", "interbank.c64")
        if (value := figures.get(f"{run}.per_s")) is not None
    ]
    rows += [_peer(peer) for peer in peers.SYSTEMS]
    return bars("A second, on two cores", rows)


def functions(figures: Mapping[str, float]) -> str:
    """Draw the throughput of the ledger function and of other functions in PostgreSQL."""
    rows = [
        Bar(label, value, f"{value:,.0f}")
        for name, label in FUNCTIONS.items()
        if (value := figures.get(f"{name}.per_s")) is not None
    ]
    rows += [_peer(peer) for peer in peers.FUNCTIONS]
    return bars("SQL alone: postings a second, on two cores", rows)


def _peer(peer: Peer) -> Bar:
    same = peer.least_per_s == peer.most_per_s
    text = (
        f"{peer.most_per_s:,.0f}" if same else f"{peer.least_per_s:,.0f} to {peer.most_per_s:,.0f}"
    )
    return Bar(peer.name, peer.most_per_s, text, ours=False, low=peer.least_per_s)


def latency(figures: Mapping[str, float]) -> str:
    """Draw the median and the 99th percentile of each run."""
    rows = [
        Bar(
            name,
            figures[f"{run}.p99_ms"],
            f"{figures[f'{run}.p50_ms']:,.0f} … {figures[f'{run}.p99_ms']:,.0f} ms",
            low=figures[f"{run}.p50_ms"],
        )
        for run, name in NAMES.items()
        if f"{run}.p99_ms" in figures
    ]
    return bars("Latency: median (dark) and 99 of 100 (light)", rows)


def cpu(runs: Mapping[str, Any]) -> str:
    """Draw the CPU of a transfer by process of the bank, without the outside world."""
    rows: list[Stack] = []
    for run in WITH_CPU:
        if run not in runs:
            continue
        parts: dict[str, float] = runs[run]["cpu_ms_by_part"]
        own = [(name, ms) for name, ms in parts.items() if not name.startswith("partner-")]
        rows.append(Stack(NAMES[run], own, f"{sum(ms for _, ms in own):.2f} ms"))
    return stacks("CPU of one transfer by process, in milliseconds", rows)
