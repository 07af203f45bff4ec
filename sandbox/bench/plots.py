"""Which charts a report is shown in: throughput beside peers, latency, CPU by process. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox.bench import peers
from sandbox.bench.charts import Bar, Stack, bars, stacks
from sandbox.bench.peers import Peer

NAMES = {
    "floor": "floor: one durable debit",
    "internal.c64": "book transfers",
    "interbank.c16": "interbank, 16 connections",
    "interbank.c64": "interbank, 64 connections",
    "interbank.c128": "interbank, 128 connections",
    "straight.c64": "interbank, no mesh inside",
    "open100": "interbank, 100/s arriving",
    "open70": "interbank, 70 % of the best",
}
"""Runs as people call them, in the order of the charts."""
WITH_CPU = ("floor", "internal.c64", "interbank.c64")
FUNCTIONS = {"ledger.spread": "BP ledger function", "ledger.hot": "BP ledger, one hot account"}


def draw(report: Mapping[str, Any]) -> dict[str, str]:
    """Return each chart under the name of its file."""
    return {
        "throughput.svg": throughput(report["figures"]),
        "functions.svg": functions(report["figures"]),
        "latency.svg": latency(report["figures"]),
        "cpu.svg": cpu(report["runs"]),
    }


def throughput(figures: Mapping[str, float]) -> str:
    """Draw the bank's runs above its peers."""
    rows = [
        Bar(f"BP {NAMES[run]}", value, f"{value:,.0f}")
        for run in ("internal.c64", "interbank.c64")
        if (value := figures.get(f"{run}.per_s")) is not None
    ]
    rows += [_peer(peer) for peer in peers.SYSTEMS]
    return bars("A second, on two cores", rows)


def functions(figures: Mapping[str, float]) -> str:
    """Draw the ledger function beside other functions in PostgreSQL."""
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
    """Draw the CPU of a transfer by process, the bank's without the outside world."""
    rows: list[Stack] = []
    for run in WITH_CPU:
        if run not in runs:
            continue
        parts: dict[str, float] = runs[run]["cpu_ms_by_part"]
        own = [(name, ms) for name, ms in parts.items() if not name.startswith("partner-")]
        rows.append(Stack(NAMES[run], own, f"{sum(ms for _, ms in own):.2f} ms"))
    return stacks("CPU of one transfer by process, in milliseconds", rows)
