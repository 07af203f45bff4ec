"""`bpctl mesh rehearse`: what a configuration would do to the calls of the last minutes."""

from __future__ import annotations

from typing import Any

import typer

from ops.bpctl.mesh import pilot
from ops.bpctl.mesh.options import CONFIG, Folder, Json
from ops.bpctl.transfers import table
from ops.display import visible


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command()(rehearse)


def rehearse(folder: Folder = CONFIG, as_json: Json = False) -> None:
    """Show which live calls of the last 15 minutes a configuration would change; nothing changes.

    It lists calls that would be denied, newly allowed or routed elsewhere, or would get a fault or
    a timeout shorter than their p99. It also lists subsets without a ready instance, and the loss
    of the token issuer's keys.

    Exit code 1 if calls that succeed now would fail.

    Example: bpctl mesh rehearse mesh/config
    """
    found = pilot.post("/v1/rehearse", {"files": pilot.content(folder)})
    if as_json:
        pilot.say_json(found)
    else:
        _show(found)
    raise typer.Exit(1 if any(each["harmful"] for each in found["effects"]) else 0)


def _show(found: dict[str, Any]) -> None:
    typer.echo(
        f"Rehearsed on {found['calls']:,} calls of {found['edges']} callers and methods,"
        f" {since(found)}."
    )
    if not found["effects"]:
        typer.echo("No effect on these calls.")
        return
    rows = [row(each) for each in found["effects"]]
    table("Effects", rows, ("effect", "caller", "callee", "method", "calls", "why"))
    payments = sum(each["payment"] and each["effect"] == "denied" for each in found["effects"])
    if payments:
        typer.echo(visible("Payments would be denied: `bpctl mesh apply` needs --force."))


def since(found: dict[str, Any]) -> str:
    """Return from when the calls are."""
    if found["earlier"]:
        return (
            "from the start of the proxies, because the control plane started less than 15"
            " minutes ago"
        )
    return f"from the last {minutes(found['seconds'])}"


def row(effect: dict[str, Any]) -> dict[str, Any]:
    """Return an effect as a row; methods without their package."""
    payment = " (payment)" if effect["payment"] else ""
    return {
        **effect,
        "effect": f"{effect['effect']}{payment}",
        "method": effect["method"].rpartition("/")[2],
    }


def minutes(seconds: float) -> str:
    """Return a time as "3 min" or "40 s"."""
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
