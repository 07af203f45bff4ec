"""`bpctl mesh describe | authz`: questions about the mesh in force."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ops.bpctl.mesh import pilot
from ops.bpctl.mesh.names import complete_methods, complete_proxies, complete_services
from ops.bpctl.mesh.options import Json
from ops.bpctl.transfers import table
from ops.display import visible

Service = Annotated[
    str, typer.Argument(help="A service, such as payments.", autocompletion=complete_services)
]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command()(describe)
    authz = typer.Typer(no_args_is_help=True, help="Which rule decides about a call.")
    authz.command("check")(check)
    authz.callback()(_keep_the_word)
    group.add_typer(authz, name="authz")


def _keep_the_word() -> None:
    """Without this callback, typer drops the name of a command that is the only one."""


def describe(service: Service, as_json: Json = False) -> None:
    """Show one service: instances, methods and callers, and the policy of each of its calls.

    Example: bpctl mesh describe payments
    """
    found = pilot.get(f"/v1/services/{service}")
    if as_json:
        pilot.say_json(found)
        return
    typer.echo(visible(f"{found['service']}  {found['identity']}"))
    typer.echo(visible(f"called by: {', '.join(found['callers']) or 'no workload'}"))
    table("Instances", found["instances"], ("instance", "address", "version", "state"))
    methods = [
        {"method": each["path"], "deadline": _ms(each["deadline_ms"]), "callers": each["callers"]}
        for each in found["methods"]
    ]
    table("Methods", methods, ("method", "deadline", "callers"))
    if found["policies"]:
        table("Policies of SREs", found["policies"], ("name", "verdict", "dry_run"))
    table(
        "Calls",
        [_call(each) for each in found["calls"]],
        ("to", "timeout", "retries", "breaker", "connections", "requests"),
    )


def _call(call: dict[str, Any]) -> dict[str, Any]:
    opens = call["breaker_failures"]
    breaker = f"{opens} failures, open {_ms(call['breaker_open_ms'])}" if opens else "none"
    return {
        "to": call.get("partner", call.get("service")),
        "timeout": _ms(call["timeout_ms"]) if call["timeout_ms"] else "the method's deadline",
        "retries": call["retries"],
        "breaker": breaker,
        "connections": call["connections_max"],
        "requests": call["requests_max"],
    }


def _ms(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return f"{milliseconds / 1000:g} s" if milliseconds >= 1000 else f"{milliseconds} ms"


def check(
    caller: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="The calling workload.", autocompletion=complete_proxies
        ),
    ],
    callee: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="The service that is called.", autocompletion=complete_services
        ),
    ],
    method: Annotated[
        str,
        typer.Argument(help="A method, by its name or its path.", autocompletion=complete_methods),
    ],
    as_json: Json = False,
) -> None:
    """Show whether a workload may call a method, and which rule decides.

    Exit code 1 if a call is denied.

    Example: bpctl mesh authz check gateway payments CreateInterbankTransfer
    """
    query: dict[str, object] = {"from": caller, "to": callee, "method": method}
    decisions = pilot.get("/v1/decision", **query)["decisions"]
    if as_json:
        pilot.say_json({"decisions": decisions})
    else:
        for each in decisions:
            word = "allowed" if each["allowed"] else "denied"
            dry = f"; dry run of {', '.join(each['dry_run'])} would deny" if each["dry_run"] else ""
            said = f"{each['path']}: {word} by {each['rule']}: {each['why']}{dry}"
            typer.echo(visible(said))
    raise typer.Exit(0 if all(each["allowed"] for each in decisions) else 1)
