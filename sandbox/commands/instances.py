"""`bpctl sandbox instance`: further processes of a service on this machine, each with a sidecar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.bpctl import connections
from ops.bpctl.connections import SUPERVISOR_SOCKET, fail
from ops.bpctl.transfers import table
from ops.waiting import scaled_s
from sandbox.commands.partner_control import Json
from sandbox.stack.supervisor import control

WITHIN_S = 300.0
Version = Annotated[str, typer.Option("--version", help="The label version of the instance.")]
Held = Annotated[bool, typer.Option("--held", help="It gets no calls yet.")]
Service = Annotated[str, typer.Argument(help="A service, such as customers.")]
Name = Annotated[str, typer.Argument(help="An instance, such as customers-1.")]


def group() -> typer.Typer:
    """Return the group `instance`."""
    made = typer.Typer(no_args_is_help=True, help="Further processes of a service.")
    made.command()(start)
    made.command()(stop)
    made.command("list")(list_)
    return made


def start(
    service: Service, version: Version = "v1", held: Held = False, as_json: Json = False
) -> None:
    """Start one more process of a service, with a sidecar of its own.

    It takes calls when the command ends; with --held only after `bpctl mesh canary start` or
    `bpctl mesh drain --undo`. It ends with the bank; `make up` does not start it again.

    Example: bpctl sandbox instance start customers --version v2 --held
    """
    request = {"service": service, "version": version, "held": held}
    found = _ask(cmd="instance-start", **request)["instance"]
    if as_json:
        typer.echo(json.dumps({**found, "held": held}))
    else:
        does = "runs and gets no calls yet" if held else "takes calls"
        typer.echo(f"{found['instance']} ({found['version']}) {does}.")


def stop(instance: Name, as_json: Json = False) -> None:
    """Drain an instance, wait for its last call, then stop its processes. No call fails.

    Example: bpctl sandbox instance stop customers-1
    """
    _ask(cmd="instance-stop", instance=instance)
    typer.echo(json.dumps({"instance": instance}) if as_json else f"{instance} has stopped.")


def list_(as_json: Json = False) -> None:
    """List the further instances.

    Example: bpctl sandbox instance list
    """
    found = _ask(cmd="instance-list")["instances"]
    if as_json:
        typer.echo(json.dumps({"instances": found}))
    else:
        table("Further instances", found, ("instance", "service", "version", "ready"))


def _ask(**request: Any) -> dict[str, Any]:
    connections.require_running()
    socket = Path(connections.addresses()["BP_RUN"]) / SUPERVISOR_SOCKET
    answer = control.ask(socket, scaled_s(WITHIN_S), **request)
    if not answer["ok"]:
        fail(str(answer["error"]))
    return answer
