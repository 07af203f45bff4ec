"""`bpctl mesh describe | authz`: questions about the mesh in force, and about its dry runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ops.bpctl.mesh import pilot
from ops.bpctl.mesh.names import complete_methods, complete_proxies, complete_services
from ops.bpctl.mesh.options import Json
from ops.bpctl.mesh.rehearsing import minutes
from ops.bpctl.transfers import table
from ops.display import visible

Service = Annotated[
    str, typer.Argument(help="A service, such as payments.", autocompletion=complete_services)
]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    group.command()(describe)
    authz = typer.Typer(no_args_is_help=True, help="Ask which rule decides about a call.")
    authz.command("check")(check)
    authz.command("shadow")(shadow)
    group.add_typer(authz, name="authz")


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


def shadow(as_json: Json = False) -> None:
    """Show which calls of the last 15 minutes the policies in dry run have matched.

    A policy is in dry run if it has the annotation istio.io/dry-run. If a DENY policy were
    enforced, it would deny the calls that it has matched. The column `from` has the callers and
    methods of the last 15 minutes that the policy matches.

    Exit code 1 if calls would be denied.

    Example: bpctl mesh authz shadow
    """
    found = pilot.get("/v1/dry-runs")
    policies = found["policies"]
    if as_json:
        pilot.say_json(found)
    elif policies:
        rows = [dry_run_row(each) for each in policies]
        about = f"Policies in dry run, calls of the last {minutes(found['seconds'])}"
        table(about, rows, ("policy", "service", "would", "calls", "from"))
    else:
        typer.echo("No policy is in dry run.")
    denied = any(each["verdict"] == "DENY" and each["calls"] for each in policies)
    raise typer.Exit(1 if denied else 0)


def dry_run_row(found: dict[str, Any]) -> dict[str, Any]:
    """Return a policy as a row; methods without their package."""
    return {
        "policy": found["policy"],
        "service": found["service"],
        "would": "deny" if found["verdict"] == "DENY" else "allow",
        "calls": f"{found['calls']:,}",
        "from": [f"{e['caller']} {e['method'].rpartition('/')[2]}" for e in found["met"]],
    }
