"""`bpctl mesh drain`: an instance finishes its calls and gets no new ones."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ops.bpctl.connections import fail
from ops.bpctl.mesh import in_force, pilot
from ops.bpctl.mesh.names import complete_instances
from ops.bpctl.mesh.options import Json, Timeout
from ops.display import visible

Instance = Annotated[
    str,
    typer.Argument(
        help="An instance, such as customers-1, or a service with only one.",
        autocompletion=complete_instances,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Even if it is the last ready instance.")]
Undo = Annotated[bool, typer.Option("--undo", help="Let it take calls again.")]


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command()(drain)


def drain(
    instance: Instance,
    undo: Undo = False,
    force: Force = False,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Give an instance no new calls, and wait until every caller has acknowledged it.

    Calls in flight complete. The instance drains until --undo, also after a restart of the control
    plane. The last ready instance of a service is drained only with --force, because every call
    would fail without it.

    Exit code 1 if it is refused, 4 if a proxy has not acknowledged it in time or is not connected.

    Example: bpctl mesh drain customers-1; bpctl mesh drain customers-1 --undo
    """
    node = named(instance)
    body: dict[str, Any] = {"instance": node, "force": force}
    found = pilot.post("/v1/undrain" if undo else "/v1/drain", body)
    away = in_force.wait_synced(timeout, pilot.CONNECTS_WITHIN_S)
    if as_json:
        pilot.say_json(found)
    elif undo:
        typer.echo(visible(f"{node} takes calls again; every connected proxy knows it."))
    else:
        typer.echo(visible(f"{node} gets no new calls; every connected proxy knows it."))
    in_force.require_connected(away)


def named(instance: str) -> str:
    """Return the whole name of an instance; a service with only one may be named alone."""
    service, _, number = instance.rpartition("-")
    known = instances(service if number.isdigit() else instance)
    names = [str(each["instance"]) for each in known]
    if instance in names:
        return instance
    if not number.isdigit() and len(names) == 1:
        return names[0]
    fail(f"Name one instance: {', '.join(names)}.")


def instances(service: str) -> list[dict[str, Any]]:
    """Return the instances of a service with version and state; exit with code 1 if unknown."""
    return pilot.get(f"/v1/services/{service}")["instances"]


def set_drained(names: list[str], *, drained: bool, timeout_s: float) -> None:
    """Drain instances, or let them take calls again, and wait for all proxies."""
    for name in names:
        pilot.post("/v1/drain" if drained else "/v1/undrain", {"instance": name})
    if names:
        in_force.wait_synced(timeout_s)
