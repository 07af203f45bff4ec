"""`bpctl sandbox …`: faults of the partners and the clearing house's business clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.bpctl import connections

KINDS = "latency, hang, reset, http_5xx, accept_then_hang, slow_body, wrong_answer or reject"
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Name = Annotated[str, typer.Argument(help="ach, fraud, fcm or oauth.")]


def register(app: typer.Typer) -> None:
    """Add the group `sandbox` with `partner` and `clock`."""
    sandbox = typer.Typer(no_args_is_help=True, help="The simulated partners of this machine.")
    sandbox.add_typer(_clock(), name="clock")
    sandbox.command("partner")(partner)
    app.add_typer(sandbox, name="sandbox")


def control(name: str, method: str, path: str, body: Any = None) -> Any:
    """Call a partner's control API; return the JSON answer."""
    socket = connections.addresses().get(f"BP_PARTNER_{name.upper()}_CONTROL_SOCKET")
    if socket is None:
        connections.fail(f"Unknown partner {name}. Use one of ach, fraud, fcm, oauth.")
    connections.require_running()
    return connections.call_socket(Path(socket), method, path, body)


def partner(
    name: Name,
    action: Annotated[str, typer.Argument(help="fault, faults, clear or state.")],
    kind: Annotated[str, typer.Argument(help=f"Only for the action fault: {KINDS}.")] = "",
    endpoint: Annotated[str, typer.Option(help='Glob of "METHOD path".')] = "*",
    count: Annotated[int | None, typer.Option(help="Fire this many times.")] = None,
    rate: Annotated[float | None, typer.Option(help="Fire at this rate, 0 to 1.")] = None,
    amount: Annotated[int | None, typer.Option(help="Only for this amount, minor units.")] = None,
    ms: Annotated[int | None, typer.Option(help="Milliseconds of latency or slow_body.")] = None,
    status: Annotated[int | None, typer.Option(help="HTTP status of http_5xx or reject.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the random numbers of --rate.")] = None,
    as_json: Json = False,
) -> None:
    """Inject a fault into a partner, list its faults, clear them, or show its state.

    All options except --json belong to the action fault.
    """
    match action:
        case "fault":
            limits = {"count": count, "rate": rate, "amount_minor_units": amount, "seed": seed}
            spec = {"kind": kind, "endpoint": endpoint, **_given(limits)}
            spec["params"] = _given({"ms": ms, "status": status})
            _show(control(name, "POST", "/control/faults", spec), as_json)
        case "faults":
            _show(control(name, "GET", "/control/faults"), as_json)
        case "clear":
            _show(control(name, "DELETE", "/control/faults"), as_json)
        case "state":
            _show(control(name, "GET", "/control/state"), as_json)
        case _:
            connections.fail(f"Unknown action {action}. Use one of fault, faults, clear, state.")


def _clock() -> typer.Typer:
    clock = typer.Typer(no_args_is_help=True, help="The clearing house's business clock.")

    @clock.command()
    def show(as_json: Json = False) -> None:  # pyright: ignore[reportUnusedFunction]
        """Show the clearing house's business time."""
        _show(control("ach", "GET", "/control/clock"), as_json)

    @clock.command()
    def advance(  # pyright: ignore[reportUnusedFunction]
        banking_days: Annotated[int | None, typer.Option(help="Banking days.")] = None,
        days: Annotated[int | None, typer.Option(help="Calendar days.")] = None,
        seconds: Annotated[float | None, typer.Option(help="Seconds.")] = None,
        as_json: Json = False,
    ) -> None:
        """Advance the clock; default two banking days, after which a transfer has settled."""
        options = _given({"banking_days": banking_days, "days": days, "seconds": seconds})
        spec = options or {"banking_days": 2}
        _show(control("ach", "POST", "/control/clock/advance", spec), as_json)

    return clock


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _show(answer: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer))
        return
    from rich.console import Console

    Console().print_json(data=answer)
