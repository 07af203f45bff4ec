"""`bpctl mesh graph`: who may call whom, and who does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ops.bpctl.connections import fail
from ops.bpctl.mesh import pilot
from ops.bpctl.mesh.graph_svg import Link, drawn
from ops.bpctl.mesh.options import Json
from ops.bpctl.mesh.rehearsing import minutes
from ops.display import visible
from services.contracts import GATEWAY

Calls = Annotated[bool, typer.Option("--calls", help="Also the live calls, with their rates.")]
Svg = Annotated[Path | None, typer.Option("--svg", help="Write a drawing into this file.")]


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command()(graph)


def graph(calls: Calls = False, svg: Svg = None, as_json: Json = False) -> None:
    """Show who may call whom; with --calls also who called whom in the last 15 minutes.

    Example: bpctl mesh graph --calls --svg mesh.svg
    """
    may = pilot.get("/v1/edges")["edges"]
    does: dict[str, Any] = pilot.get("/v1/traffic") if calls else {"seconds": 0.0, "edges": []}
    found = links(may, does["edges"])
    said = f"the last {minutes(does['seconds'])}" if calls else ""
    if svg is not None:
        try:
            svg.write_text(drawn(found, said))
        except OSError as error:
            fail(f"{svg}: {error.strerror}")
    if as_json:
        pilot.say_json({"edges": may, **({"calls": does["edges"]} if calls else {})})
    elif svg is not None:
        typer.echo(visible(f"{svg}: {len(found)} callers and callees."))
    else:
        _print(found, said)


def links(may: list[dict[str, Any]], does: list[dict[str, Any]]) -> list[Link]:
    """Return every pair that may call or does, by caller; partners come last."""
    allowed = {(each["caller"], each["callee"]): each for each in may}
    live = {(each["caller"], each["callee"]): each for each in does}
    services = {each["caller"] for each in may} | {
        each["callee"] for each in may if not each["partner"]
    }
    made: list[Link] = []
    for pair in allowed.keys() | live.keys():
        one, calls = allowed.get(pair), live.get(pair)
        made.append(
            Link(
                *pair,
                partner=one["partner"] if one else pair[1] not in services,
                methods=len(one["methods"]) if one else 0,
                allowed=one is not None or pair[1] == GATEWAY,
                per_second=calls["per_second"] if calls else 0.0,
                failed_percent=calls["failed_percent"] if calls else 0.0,
                called=calls is not None,
                unanswered_percent=calls["unanswered_percent"] if calls else 0.0,
            )
        )
    return sorted(made, key=lambda each: (each.caller, each.partner, each.callee))


def _print(found: list[Link], said: str) -> None:
    if said:
        typer.echo(f"Calls of {said}.")
    caller = ""
    for each in found:
        if each.caller != caller:
            caller = each.caller
            typer.echo(visible(caller))
        may = _may(each) if each.allowed else "may not call"
        does = f"  {each.words}" if said else ""
        typer.echo(visible(f"  └─► {each.callee}  ({may}){does}"))


def _may(link: Link) -> str:
    if link.partner:
        return "partner"
    if link.callee == GATEWAY:
        return "REST"
    return "1 method" if link.methods == 1 else f"{link.methods} methods"
