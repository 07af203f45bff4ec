"""Displays the progress of `up` and the table of `status` in a terminal."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ops.display import shown
from sandbox.stack.home import REPO, Home
from sandbox.stack.supervisor import control

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
TELL_S = 0.5
REASON_CHARS_MAX = 120


def show_until(home: Home, ended: Callable[[], bool]) -> None:
    """Show the nodes until `ended`. On a terminal the table is redrawn. Each node that keeps
    failing at its start is reported once, on any output."""
    console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    told = set[str]()
    if not console.is_terminal:
        while not ended():
            _tell_troubles(console, _nodes(home), told)
            _wait(ended, TELL_S)
        return
    with Live(console=console, refresh_per_second=10, transient=True) as live:
        while not ended():
            nodes = _nodes(home)
            live.update(_picture(nodes))
            _tell_troubles(console, nodes, told)
            time.sleep(REFRESH_S)


def _nodes(home: Home) -> list[dict[str, Any]]:
    try:
        return control.ask(home.control_socket, cmd="status")["nodes"]
    except OSError:
        return []  # the supervisor is stopping; the pending `ensure` reports it


def _wait(ended: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not ended() and time.monotonic() < deadline:
        time.sleep(REFRESH_S)


def _tell_troubles(console: Console, nodes: list[dict[str, Any]], told: set[str]) -> None:
    for node in nodes:
        if node["trouble"] and node["name"] not in told:
            told.add(node["name"])
            console.print(shown(f"{node['name']}: {node['trouble']}".split("\n")), highlight=False)


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
    """Print the table of `status`."""
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
            shown(node["reason"].partition("\n")[0][:REASON_CHARS_MAX]),
        )
    console = Console()
    console.print(table)
    for node in nodes:
        if node["trouble"]:
            trouble = shown(f"{node['name']}: {node['trouble']}".split("\n"))
            console.print(trouble, highlight=False, soft_wrap=True)


def show_summary(home: Home, report: dict[str, Any]) -> None:
    """Print the three figures and the paths of addresses and logs."""
    warm, first = report.get("up_warm_s"), report.get("up_first_s", 0.0)
    seconds = f"warm start {warm:.1f} s" if warm is not None else f"first start {first:.1f} s"
    setup = f"setup {report['setup_s']:.0f} s · " if "setup_s" in report else ""
    console = Console()
    console.print(f"[green]●[/] BP is up: {setup}{seconds} · {report['rss_mib']:.0f} MiB")
    command = f". {shlex.quote(str(home.env_file))}"
    console.print(shown(f"  addresses: {command}   logs: {home.logs}"), soft_wrap=True)
    if not home.root.is_relative_to(REPO):
        told = f"  This is the bank of {home.root}, which BP_HOME names."
        console.print(shown(told), soft_wrap=True)
