"""What `up` and `status` show in a terminal. Only display; nothing is decided here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sandbox.stack import control
from sandbox.stack.home import Home

MARKS = {
    "ready": "[green]●[/]",
    "starting": "[yellow]◐[/]",
    "waiting": "[dim]○[/]",
    "backoff": "[yellow]↻[/]",
    "stopping": "[yellow]◌[/]",
    "stopped": "[dim]◌[/]",
    "failed": "[red]✗[/]",
}
REFRESH_S = 0.1
REASON_CHARS_MAX = 120


def show_until(home: Home, ended: Callable[[], bool]) -> None:
    """A line a node, redrawn until `ended`; plain silence when there is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        while not ended():
            time.sleep(REFRESH_S)
        return
    with Live(console=console, refresh_per_second=10, transient=True) as live:
        while not ended():
            try:
                live.update(_picture(control.ask(home.control_socket, cmd="status")["nodes"]))
            except OSError:
                return
            time.sleep(REFRESH_S)


def _picture(nodes: list[dict[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    columns = 3
    cells = [f"{MARKS[n['state']]} {n['name']} [dim]{_seconds(n)}[/]" for n in nodes]
    for start in range(0, len(cells), columns):
        table.add_row(*cells[start : start + columns])
    return table


def _seconds(node: dict[str, Any]) -> str:
    return f"{node['ready_after_s']:.1f}s" if node["state"] == "ready" else node["state"]


def print_status(nodes: list[dict[str, Any]]) -> None:
    """The table of `status`."""
    table = Table(box=None, header_style="dim")
    for title in ("", "part", "state", "pid", "restarts", "ready after", "reason"):
        table.add_column(title)
    for node in nodes:
        table.add_row(
            MARKS[node["state"]],
            node["name"],
            node["state"],
            str(node.get("pid") or ""),
            str(node.get("restarts") or ""),
            f"{node['ready_after_s']:.2f} s" if node["ready_after_s"] else "",
            node["reason"].partition("\n")[0][:REASON_CHARS_MAX],
        )
    Console().print(table)


def show_summary(home: Home, report: dict[str, Any]) -> None:
    """The three figures and where to go next."""
    warm, first = report.get("up_warm_s"), report.get("up_first_s", 0.0)
    seconds = f"warm up {warm:.1f} s" if warm is not None else f"first up {first:.1f} s"
    setup = f"set-up {report['setup_s']:.0f} s · " if "setup_s" in report else ""
    console = Console()
    console.print(f"[green]●[/] BP is up: {setup}{seconds} · {report['rss_mib']:.0f} MiB")
    console.print(f"  addresses: . {home.env_file}   logs: {home.logs}", highlight=False)
