"""The report: flat figures for machines, tables for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sandbox.bench import cpu
from sandbox.bench.runs import Result
from sandbox.stack.home import Home

INTERBANK = "interbank.c64"
OF_THE_STACK = ("rss_mib", "setup_s", "up_warm_s")
PARTS_SHOWN = 24
STATEMENTS_SHOWN = 12
STATEMENT_CHARS = 70


def figures_of(results: Sequence[Result], home: Home) -> dict[str, float]:
    """Return every figure under its flat name; what was not measured is left out."""
    figures: dict[str, float] = {}
    for result in results:
        figures |= result.figures()
        if result.load.name == INTERBANK:
            figures["interbank.cpu_ms"] = round(result.cpu_ms(cpu.of_the_bank(result.cpu_s)), 2)
            if result.drained is not None:
                figures["interbank.events_lag_p99_ms"] = result.drained.lag_p99_ms
                figures["interbank.drain_s"] = result.drained.seconds
    report = home.reports / "stack.json"
    stack: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    figures |= {f"stack.{name}": stack[name] for name in OF_THE_STACK if name in stack}
    return figures


def document(results: Sequence[Result], figures: dict[str, float], void: list[str]) -> Any:
    """Return bench.json: verdict and figures, then what they were made of."""
    detail = {
        result.load.name: {
            "connections": result.load.connections,
            "seconds": result.load.seconds,
            "warm_up_s": result.load.warm_up_s,
            "accepted": result.outcome.accepted,
            "refused": result.outcome.refused,
            "cpu_ms_by_part": {
                name: round(result.cpu_ms(seconds), 3) for name, seconds in result.cpu_s.items()
            },
            "database": _database(result),
            "generator_cpu_ms": round(result.cpu_ms(result.outcome.cpu_s), 3),
        }
        for result in results
    }
    reason = {"reason": "; ".join(void)} if void else {}
    return {"void": bool(void), **reason, "figures": figures, "runs": detail}


def _database(result: Result) -> dict[str, Any]:
    work, accepted = result.database, max(1, result.outcome.accepted)
    return {
        "round_trips": round(work.round_trips / accepted, 3),
        "commits": round(work.commits / accepted, 3),
        "wal_bytes": round(work.wal_bytes / accepted),
        "round_trips_by_role": {
            role: round(calls / accepted, 3) for role, calls in work.by_role().items()
        },
        "statements": [
            {
                "role": one.role,
                "calls": round(one.calls / accepted, 3),
                "ms": round(one.ms / accepted, 3),
                "text": one.text,
            }
            for one in work.statements[:STATEMENTS_SHOWN]
        ],
    }


def write(file: Path, content: Any) -> None:
    """Write the document in one piece."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(content, indent=1) + "\n")
    draft.replace(file)


def show(results: Sequence[Result], figures: dict[str, float], void: list[str]) -> None:
    """Print the figures, CPU by part, and the verdict."""
    console = Console()
    console.print(_speeds(results))
    console.print(_costs(results))
    for result in results:
        console.print(_asked(result))
    others = {k: v for k, v in figures.items() if not k.endswith(("per_s", "p50_ms", "p95_ms"))}
    console.print("  ".join(f"{k} [bold]{v:g}[/]" for k, v in others.items() if "p99" not in k))
    if void:
        console.print("[bold red]VOID[/] " + "\n     ".join(void), highlight=False)
    else:
        console.print("[green]●[/] every accepted transfer is in ledger, Kafka, audit and messages")


def _speeds(results: Sequence[Result]) -> Table:
    table = Table(box=None, header_style="dim")
    speeds = ("per s", "p50 ms", "p95 ms", "p99 ms")
    for title in ("run", *speeds, "accepted", "refused", "lag p99 ms"):
        table.add_column(title, justify="left" if title == "run" else "right")
    for result in results:
        table.add_row(
            result.load.name,
            f"{result.per_s:,.1f}",
            *(f"{result.percentile_ms(p):,.1f}" for p in (50, 95, 99)),
            f"{result.outcome.accepted:,}",
            f"{sum(result.outcome.refused.values()) + result.outcome.unanswered:,}",
            f"{result.drained.lag_p99_ms:,.0f}" if result.drained else "",
        )
    return table


def _costs(results: Sequence[Result]) -> Table:
    table = Table(box=None, header_style="dim", title="CPU ms a transfer", title_justify="left")
    table.add_column("part")
    for result in results:
        table.add_column(result.load.name, justify="right")
    parts = list(dict.fromkeys(name for result in results for name in result.cpu_s))
    heaviest = sorted(parts, key=lambda p: -max(r.cpu_ms(r.cpu_s.get(p, 0.0)) for r in results))
    for part in heaviest[:PARTS_SHOWN]:
        costs = (result.cpu_ms(result.cpu_s.get(part, 0.0)) for result in results)
        table.add_row(part, *(f"{cost:.2f}" for cost in costs))
    bank = (result.cpu_ms(cpu.of_the_bank(result.cpu_s)) for result in results)
    table.add_row("[bold]the bank[/]", *(f"[bold]{cost:.2f}[/]" for cost in bank))
    generator = (result.cpu_ms(result.outcome.cpu_s) for result in results)
    table.add_row("[dim]load generator[/]", *(f"[dim]{cost:.2f}[/]" for cost in generator))
    return table


def _asked(result: Result) -> Table:
    """PostgreSQL for one transfer: statements are round trips."""
    work, accepted = result.database, max(1, result.outcome.accepted)
    title = (
        f"{result.load.name}: {work.round_trips / accepted:.2f} database round trips, "
        f"{work.commits / accepted:.2f} commits, {work.wal_bytes / accepted:,.0f} bytes of WAL a "
        "transfer"
    )
    table = Table(box=None, header_style="dim", title=title, title_justify="left")
    for name in ("role", "calls", "ms", "ms a call", "statement"):
        left = name in ("role", "statement")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for one in work.statements[:STATEMENTS_SHOWN]:
        each = (f"{one.calls / accepted:.3f}", f"{one.ms / accepted:.3f}")
        table.add_row(
            one.role, *each, f"{one.ms / one.calls:.3f}", escape(one.text[:STATEMENT_CHARS])
        )
    return table
