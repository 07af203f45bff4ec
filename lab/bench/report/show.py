"""Prints the report: tables of speed, cost, statements and targets, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lab.bench.bench import Findings
from lab.bench.report import targets
from lab.bench.report.targets import Standing
from lab.bench.runs import Result

PARTS_SHOWN = 24
OTHERS_SHARE_MAX = 0.1
"""A larger share is not only the kernel's work: other processes were running."""
STATEMENTS_SHOWN = 12
STATEMENT_CHARS = 90
WIDTH_IN_A_FILE = 160
STATEMENTS_OF = ("baseline", "book.c64", "interbank.c64")
"""Runs whose statements are printed; bench.json has the statements of every run."""
_COLOURS = {Standing.MET: "green", Standing.MISSED: "red", Standing.NOT_MEASURED: "dim"}


def show(found: Findings, figures: Mapping[str, float]) -> None:
    """Print the figures, CPU by part, targets, and the verdict."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH_IN_A_FILE)
    results = found.results
    if results:
        console.print(_speeds(results))
        console.print(_costs(results))
    for result in results:
        if result.load.name in STATEMENTS_OF or len(results) == 1:
            console.print(_asked(result))
    of_runs = tuple(f"{result.load.name}." for result in results)
    others = {name: value for name, value in figures.items() if not name.startswith(of_runs)}
    console.print("  ".join(f"{name} [bold]{value:g}[/]" for name, value in others.items()))
    console.print(_targets(figures))
    if (most := found.others_share_max()) > OTHERS_SHARE_MAX:
        console.print(
            f"[yellow]The machine was not quiet: other processes used up to {most:.0%} of it.[/]"
        )
    if void := found.reasons:
        console.print("[bold red]VOID[/] " + escape("\n     ".join(void)), highlight=False)
    else:
        console.print(
            "[green]●[/] every accepted transfer is in ledger, Kafka, audit log and notifications"
        )


def _speeds(results: Sequence[Result]) -> Table:
    table = Table(box=None, header_style="dim")
    titles = (
        "per s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "p99.9 ms",
        "accepted",
        "refused",
        "lag p99 ms",
    )
    costs = ("drain s", "round trips", "KiB disk", "peak MiB", "others")
    for title in ("run", *titles, *costs):
        table.add_column(title, justify="left" if title == "run" else "right")
    for result in results:
        spent, drained = result.spent, result.drained
        table.add_row(
            result.load.name,
            f"{result.per_s:,.1f}",
            *(f"{result.percentile_ms(p):,.1f}" for p in (50, 95, 99, 99.9)),
            f"{result.outcome.accepted:,}",
            f"{sum(result.outcome.refused.values()) + result.outcome.unanswered:,}",
            *((f"{drained.lag_p99_ms:,.0f}", f"{drained.seconds:.2f}") if drained else ("", "")),
            f"{result.each(spent.database.round_trips):.2f}",
            f"{result.each(spent.disk_bytes) / 1024:.1f}",
            f"{spent.peak_mib:,.0f}",
            f"{spent.others_share:.0%}",
        )
    return table


def _costs(results: Sequence[Result]) -> Table:
    table = Table(box=None, header_style="dim", title="CPU ms a transfer", title_justify="left")
    table.add_column("part")
    for result in results:
        table.add_column(result.load.name, justify="right")
    used = [result.spent.cpu_s for result in results]
    parts = list(dict.fromkeys(name for one in used for name in one))

    def cost(result: Result, part: str) -> float:
        return result.cpu_ms(result.spent.cpu_s.get(part, 0.0))

    heaviest = sorted(parts, key=lambda part: -max(cost(result, part) for result in results))
    for part in heaviest[:PARTS_SHOWN]:
        table.add_row(part, *(f"{cost(result, part):.2f}" for result in results))
    bank = (result.cpu_ms(result.spent.bank_cpu_s) for result in results)
    table.add_row("[bold]the bank[/]", *(f"[bold]{cost:.2f}[/]" for cost in bank))
    generator = (result.cpu_ms(result.outcome.cpu_s) for result in results)
    table.add_row("[dim]load generator[/]", *(f"[dim]{cost:.2f}[/]" for cost in generator))
    return table


def _asked(result: Result) -> Table:
    """Return the statements that one transfer costs. Each is a round trip."""
    work = result.spent.database
    title = (
        f"{result.load.name}: {result.each(work.round_trips):.2f} database round trips, "
        f"{result.each(work.commits):.2f} commits, {result.each(work.wal_bytes):,.0f} bytes of WAL"
    )
    table = Table(box=None, header_style="dim", title=title, title_justify="left")
    for name in ("role", "calls", "ms", "ms a call", "statement"):
        left = name in ("role", "statement")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for one in work.statements[:STATEMENTS_SHOWN]:
        table.add_row(
            one.role,
            f"{result.each(one.calls):.3f}",
            f"{result.each(one.ms):.3f}",
            f"{one.ms / one.calls:.3f}",
            escape(one.text[:STATEMENT_CHARS]),
        )
    return table


def _targets(figures: Mapping[str, float]) -> Table:
    table = Table(box=None, header_style="dim", title="Targets and goals", title_justify="left")
    for title in ("what", "measured", "target", "", "goal", ""):
        table.add_column(title, justify="left" if title in ("what", "") else "right")
    for one in targets.judge(figures):
        target, goal = one.target, one.target.goal
        table.add_row(
            target.what,
            "" if one.value is None else f"{_number(one.value)} {target.unit}",
            f"{target.comparison} {_number(target.bound)}",
            _coloured(one.standing),
            "" if goal is None else f"{target.comparison} {_number(goal)}",
            _coloured(one.goal_standing),
        )
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _coloured(standing: Standing | None) -> str:
    return "" if standing is None else f"[{_COLOURS[standing]}]{standing}[/]"
