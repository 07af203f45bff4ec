"""`bpctl sandbox …`: faults of the partners, the clearing house's clock, outbox and customers."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer

from ops.bpctl import connections
from sandbox.commands import instances
from sandbox.commands.customers import customer, face
from sandbox.commands.outbox import outbox
from sandbox.commands.partner_control import Json, Partner, control
from sandbox.partners.fault_kinds import Kind


class Action(StrEnum):
    """What to do with a partner."""

    FAULT = "fault"
    FAULTS = "faults"
    CLEAR = "clear"
    STATE = "state"


HTTP_STATUSES = range(200, 600)
STATUSES = {
    Kind.HTTP_5XX: range(500, 600),
    Kind.REJECT: range(400, 600),
    Kind.WRONG_ANSWER: HTTP_STATUSES,
}
"""A kind that sends a status -> the statuses that it can send."""
TIMED = (Kind.LATENCY, Kind.SLOW_BODY, Kind.HANG, Kind.ACCEPT_THEN_HANG)
"""The kinds that take a time."""
BANKING_DAYS_MAX, DAYS_MAX, SECONDS_MAX = 2600, 3660, 316_224_000


def register(app: typer.Typer) -> None:
    """Add the group `sandbox`."""
    sandbox = typer.Typer(no_args_is_help=True, help="The simulated partners of this machine.")
    sandbox.add_typer(_clock(), name="clock")
    sandbox.add_typer(instances.group(), name="instance")
    sandbox.command("partner")(partner)
    for command in (outbox, customer, face):
        sandbox.command()(command)
    app.add_typer(sandbox, name="sandbox")


def partner(
    name: Annotated[Partner, typer.Argument(help="The partner.")],
    action: Annotated[Action, typer.Argument(help="What to do.")],
    kind: Annotated[
        Kind | None, typer.Argument(help="Only for the action fault: the kind of fault.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help='Glob of "METHOD path"; default: *.')] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Fire this many times.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Fire at this rate, 0 to 1.")
    ] = None,
    amount: Annotated[
        int | None, typer.Option(min=1, help="Only for this amount, minor units.")
    ] = None,
    ms: Annotated[
        int | None,
        typer.Option(min=0, max=3_600_000, help=f"Milliseconds of {', '.join(TIMED)}."),
    ] = None,
    status: Annotated[
        int | None,
        typer.Option(
            min=HTTP_STATUSES[0], max=HTTP_STATUSES[-1], help=f"Status of {', '.join(STATUSES)}."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the random numbers of --rate.")] = None,
    as_json: Json = False,
) -> None:
    """Inject a fault into a partner, list its faults, clear them, or show its state.

    All options except --json belong to the action fault. `clear` removes all faults.
    """
    limits = {"count": count, "rate": rate, "amount_minor_units": amount, "seed": seed}
    given = _given({"endpoint": endpoint, **limits})
    params = _given({"ms": ms, "status": status})
    if action is not Action.FAULT and (kind or given or params):
        _refuse(f"Only the action fault takes a kind and options; {action} takes none of them.")
    match action:
        case Action.FAULT:
            spec = {**given, "kind": _checked(kind, ms, status), "params": params}
            _show(control(name, "POST", "/control/faults", spec), as_json)
        case Action.FAULTS:
            _show(control(name, "GET", "/control/faults"), as_json)
        case Action.CLEAR:
            _show(control(name, "DELETE", "/control/faults"), as_json)
        case Action.STATE:
            _show(control(name, "GET", "/control/state"), as_json)


def _checked(kind: Kind | None, ms: int | None, status: int | None) -> Kind:
    """Return the kind if its parameters have an effect; otherwise exit with what to change."""
    if kind is None:
        _refuse(f"Name the kind of fault: {', '.join(Kind)}.")
    if kind is Kind.LATENCY and ms is None:
        _refuse("Give the latency with --ms.")
    if ms is not None and kind not in TIMED:
        _refuse(f"--ms has no effect on {kind}; it is for {', '.join(TIMED)}.")
    if status is not None and kind not in STATUSES:
        _refuse(f"--status has no effect on {kind}; it is for {', '.join(STATUSES)}.")
    if status is not None and status not in STATUSES[kind]:
        _refuse(f"--status of {kind} is {STATUSES[kind][0]} to {STATUSES[kind][-1]}.")
    return kind


def _refuse(message: str) -> NoReturn:
    connections.fail(message, 2)


def _clock() -> typer.Typer:
    clock = typer.Typer(no_args_is_help=True, help="The clearing house's business clock.")

    @clock.command()
    def show(as_json: Json = False) -> None:  # pyright: ignore[reportUnusedFunction]
        """Show the clearing house's business time."""
        _show(control(Partner.ACH, "GET", "/control/clock"), as_json)

    @clock.command()
    def advance(  # pyright: ignore[reportUnusedFunction]
        banking_days: Annotated[
            int | None, typer.Option(min=1, max=BANKING_DAYS_MAX, help="Banking days.")
        ] = None,
        days: Annotated[
            int | None, typer.Option(min=1, max=DAYS_MAX, help="Calendar days.")
        ] = None,
        seconds: Annotated[
            float | None, typer.Option(min=0, max=SECONDS_MAX, help="Seconds.")
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Advance the clock; default two banking days, after which a transfer has settled."""
        options = _given({"banking_days": banking_days, "days": days, "seconds": seconds})
        if len(options) > 1:
            _refuse("Give one of --banking-days, --days and --seconds.")
        spec = options or {"banking_days": 2}
        _show(control(Partner.ACH, "POST", "/control/clock/advance", spec), as_json)

    return clock


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _show(answer: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer))
        return
    from rich.console import Console

    Console().print_json(data=answer)
