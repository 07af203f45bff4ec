"""The charts of a report: latency, and CPU by process. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.bench.report.charts import Bar, Stack, bars, stacks

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


def draw(report: Mapping[str, Any]) -> dict[str, str]:
    """Return each chart by its file name."""
    return {
        "latency.svg": latency(report["figures"]),
        "cpu.svg": cpu(report["runs"]),
    }


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
