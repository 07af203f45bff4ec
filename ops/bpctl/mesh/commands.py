"""The group `bpctl mesh`."""

from __future__ import annotations

import typer

from ops.bpctl.mesh import (
    asking,
    bug_report,
    canary,
    cert,
    changing,
    draining,
    graphing,
    injecting,
    proxies,
    rehearsing,
    top,
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Check, change and observe the service mesh.")
    for module in (
        *(changing, rehearsing, proxies, asking, graphing, top),
        *(draining, canary, injecting, cert, bug_report),
    ):
        module.register(group)
    app.add_typer(group, name="mesh")
