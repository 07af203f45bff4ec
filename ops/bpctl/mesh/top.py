"""`bpctl mesh top`: rates, errors and times of the live calls."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ops.bpctl.mesh import pilot
from ops.bpctl.mesh.options import Json
from ops.bpctl.mesh.top_rows import BY_METHOD, COLUMNS, rows, title
from ops.bpctl.transfers import table

SECONDS = 60
Once = Annotated[bool, typer.Option("--once", help="Print one table and end.")]
Methods = Annotated[bool, typer.Option("--methods", help="A row for each method.")]
Seconds = Annotated[int, typer.Option(min=5, max=900, help="Seconds whose calls are shown.")]


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command()(top)


def top(
    once: Once = False, methods: Methods = False, seconds: Seconds = SECONDS, as_json: Json = False
) -> None:
    """Show rate, errors, times, retries and circuit breaker of each caller and callee, live.

    Keys: m shows methods, e sorts by errors, r by rate, q ends. Times are estimates from Envoy's
    buckets, which Envoy adds up every five seconds. Without a terminal, one table is printed.

    Example: bpctl mesh top --once --seconds 300
    """
    if as_json:
        pilot.say_json(asked(methods, seconds))
    elif once or not sys.stdout.isatty():
        found = asked(methods, seconds)
        table(title(found), rows(found), BY_METHOD if methods else COLUMNS)
    else:
        from ops.bpctl.mesh.top_screen import Screen

        pilot.socket_path()
        Screen(lambda by_method: asked(by_method, seconds), methods=methods).run()


def asked(methods: bool, seconds: int) -> dict[str, Any]:
    """Return the live calls."""
    return pilot.get("/v1/traffic", seconds=seconds, by="method" if methods else "callee")
