"""`bpctl mesh check | diff | apply | rollback | history`: the configuration and its revisions."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any

import typer

from ops.bpctl.connections import fail
from ops.bpctl.mesh import pilot
from ops.bpctl.mesh.options import CONFIG, Folder, Json, Timeout, Wait, Why
from ops.bpctl.transfers import table
from ops.display import visible

NOT_SYNCED = 4
"""Exit code of an apply that is in force, but that a proxy has not acknowledged in time."""
Force = Annotated[bool, typer.Option("--force", help="Even if live payments would be denied.")]
Number = Annotated[int | None, typer.Argument(help="A revision; without it, all are listed.")]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    for command in (check, diff, apply, rollback, history):
        group.command()(command)


def check(folder: Folder = CONFIG, as_json: Json = False) -> None:
    """Check a configuration against the contracts and Envoy, without a running bank.

    Exit code 1 if there is an error.

    Example: bpctl mesh check mesh/config
    """
    from mesh import ctl
    from mesh.pilot.findings import findings_of

    found: list[dict[str, Any]] = []
    proxies = 0
    try:
        proxies = ctl.check(folder)
    except ctl.FAULTS as error:
        found = [
            {"file": each.file, "line": each.line, "problem": each.problem}
            for each in findings_of(error, folder)
        ]
    if as_json:
        pilot.say_json({"ok": not found, "proxies": proxies, "findings": found})
    elif found:
        for each in found:
            typer.echo(pilot.finding(each), err=True)
    else:
        typer.echo(f"No error. Envoy accepts the configuration of {proxies} proxies.")
    raise typer.Exit(1 if found else 0)


def diff(
    folder: Folder = CONFIG,
    as_json: Json = False,
    summary: Annotated[bool, typer.Option("--summary", help="Resources without fields.")] = False,
) -> None:
    """Show what each proxy would get if this configuration were applied.

    Exit code 1 if there is a difference.

    Example: bpctl mesh diff mesh/config --summary
    """
    answer = pilot.post("/v1/check", {"files": pilot.content(folder)})
    changes, restart = answer["changes"], answer["restart"]
    if as_json:
        pilot.say_json({"changes": changes, "restart": restart})
    else:
        _show(changes, fields=not summary)
        if restart:
            typer.echo(
                visible(f"changed bootstrap, in force after a restart  ({', '.join(restart)})")
            )
        elif not changes:
            typer.echo("No difference: every proxy already has this configuration.")
    raise typer.Exit(1 if changes or restart else 0)


def apply(
    folder: Folder = CONFIG,
    why: Why = "",
    force: Force = False,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Put a configuration in force, and wait until every proxy has acknowledged it.

    It is refused if it would deny calls of payments that were made in the last 15 minutes, or if
    the gateway would lose the keys of a token issuer that is down. See `bpctl mesh rehearse`.

    Exit code 1 if it is refused (nothing changes), 4 if it is in force but a proxy has not
    acknowledged it in time.

    Example: bpctl mesh apply mesh/config -m "fraud: open the breaker after 3 failures"
    """
    body = {"files": pilot.content(folder), "why": why, "force": force}
    answer = pilot.post("/v1/apply", body)
    _finish(answer["revision"], answer["changed"], wait, timeout, as_json)


def rollback(
    to: Annotated[int | None, typer.Option(help="Default: the revision before this one.")] = None,
    why: Why = "",
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Put the files of an earlier revision in force, as a new revision.

    Example: bpctl mesh rollback --to 12
    """
    chosen = _before() if to is None else to
    answer = pilot.post("/v1/rollback", {"to": chosen, "why": why})
    _finish(answer["revision"], answer["changed"], wait, timeout, as_json)


def history(number: Number = None, as_json: Json = False) -> None:
    """List the revisions: who put which files in force, when and why.

    With a number, print the files of this revision.

    Example: bpctl mesh history 12
    """
    if number is not None:
        found = pilot.get(f"/v1/history/{number}")
        if as_json:
            pilot.say_json(found)
            return
        for name, text in found["files"].items():
            typer.echo(f"# {visible(name)}")
            for line in text.split("\n"):
                typer.echo(visible(line))
        return
    revisions = pilot.get("/v1/history")["revisions"]
    if as_json:
        pilot.say_json({"revisions": revisions})
        return
    columns = ("number", "create_time", "who", "origin", "why")
    table("Revisions", [each | {"why": _reason(each)} for each in revisions], columns)


def _before() -> int:
    """Return the revision whose files were in force before the ones that are."""
    revisions = pilot.get("/v1/history")["revisions"]
    for each in revisions[1:]:
        if each["digest"] != revisions[0]["digest"]:
            return each["number"]
    fail("There is no earlier revision with other files.")


def _reason(revision: dict[str, Any]) -> str:
    of = f"back to {revision['of']}" if revision["of"] else ""
    return "; ".join(each for each in (of, revision["why"]) if each)


def _finish(
    revision: dict[str, Any], changed: bool, wait: bool, timeout: float, as_json: bool
) -> None:
    synced = pilot.synced(timeout) if wait else {"waiting": [], "not_connected": []}
    waiting, away = synced["waiting"], synced["not_connected"]
    if as_json:
        pilot.say_json({"revision": revision, "changed": changed, **synced})
    else:
        number = revision["number"]
        said = (
            f"Revision {number} is in force." if changed else f"Revision {number} has these files."
        )
        typer.echo(f"{said} {_acknowledged(away)}" if wait and not waiting else said)
    if waiting:
        names = ", ".join(sorted(waiting))
        fail(
            f"Not acknowledged within {timeout:g} s by {names}: bpctl mesh proxy-status", NOT_SYNCED
        )


def _acknowledged(away: list[str]) -> str:
    if not away:
        return "Every proxy has acknowledged it."
    return f"Every connected proxy has acknowledged it; not connected: {', '.join(away)}."


def _show(changes: list[dict[str, Any]], *, fields: bool) -> None:
    """Print each change once, with the proxies that get it."""
    nodes: dict[str, list[str]] = defaultdict(list)
    lines: dict[str, list[str]] = {}
    for each in changes:
        title = f"{each['what']} {each['kind'].lower()} {each['name']}"
        inner = [_field(one) for one in each["fields"]]
        key = "\n".join((title, *inner))
        nodes[key].append(each["node"])
        lines[key] = [title, *(inner if fields else ())]
    for key, (title, *inner) in lines.items():
        typer.echo(visible(f"{title}  ({', '.join(nodes[key])})"))
        for line in inner:
            typer.echo(f"    {visible(line)}")


def _field(field: dict[str, Any]) -> str:
    before = "absent" if field["before"] is None else field["before"]
    after = "absent" if field["after"] is None else field["after"]
    return f"{field['path']}: {before} → {after}"
