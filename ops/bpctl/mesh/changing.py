"""`bpctl mesh check | diff | apply | rollback | history`: the configuration and its revisions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Annotated, Any

import typer

from ops.bpctl import connections
from ops.bpctl.connections import fail
from ops.bpctl.mesh import in_force, pilot
from ops.bpctl.mesh.options import CONFIG, Folder, Force, Json, Parent, Timeout, Wait, Why
from ops.bpctl.transfers import table
from ops.display import visible

NOT_YET = "not yet"
"""What `history --audit` shows for a revision without an audit record."""
Audit = Annotated[bool, typer.Option("--audit", help="Show the audit record of each revision.")]
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
    summary: Annotated[bool, typer.Option("--summary", help="Only names of resources.")] = False,
) -> None:
    """Show what each proxy would get if this configuration were applied.

    The last line names the revision in force. With `apply --parent`, exactly this difference is
    applied, or nothing. Exit code 1 if there is a difference.

    Example: bpctl mesh diff mesh/config --summary
    """
    answer = pilot.post("/v1/check", {"files": pilot.content(folder)})
    changes, restart = answer["changes"], answer["restart"]
    if as_json:
        pilot.say_json(answer)
    else:
        _show(changes, fields=not summary)
        if restart:
            typer.echo(
                visible(f"changed bootstrap, in force after a restart  ({', '.join(restart)})")
            )
        elif not changes:
            typer.echo("No difference: every proxy already has this configuration.")
        if changes or restart:
            typer.echo(f"Compared with revision {answer['revision']} (apply --parent).")
    raise typer.Exit(1 if changes or restart else 0)


def apply(
    folder: Folder = CONFIG,
    why: Why = "",
    force: Force = False,
    parent: Parent = None,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Put a configuration in force, and wait until every proxy has acknowledged it.

    Three changes are refused, and nothing changes: one that would deny payments like those of the
    last 15 minutes, one by which the gateway would lose the keys of a token issuer that is down
    (see `bpctl mesh rehearse`), and one made for another revision than the one in force.

    Exit code 1 if it is refused, 6 if another revision is in force, 4 if it is in force but a proxy
    has not acknowledged it in time or is not connected.

    Example: bpctl mesh apply mesh/config -m "fraud: open the breaker after 3 failures"

    Example: bpctl mesh diff /tmp/config; bpctl mesh apply /tmp/config --parent 12
    """
    made_for = in_force.number() if parent is None else parent
    body = {"files": pilot.content(folder), "why": why, "force": force, "parent": made_for}
    answer = pilot.post("/v1/apply", body)
    _finish(answer["revision"], answer["changed"], wait, timeout, as_json)


def rollback(
    to: Annotated[
        int | None, typer.Option(help="Default: the newest earlier one with other files.")
    ] = None,
    why: Why = "",
    force: Force = False,
    parent: Parent = None,
    wait: Wait = True,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Put the files of an earlier revision in force, as a new revision.

    Without --to, a second rollback brings the undone change back. A rollback is refused for the
    same reasons as `bpctl mesh apply`, with the same exit codes.

    Example: bpctl mesh rollback --to 12
    """
    made_for = in_force.number() if parent is None else parent
    chosen = _before() if to is None else to
    body = {"to": chosen, "why": why, "force": force, "parent": made_for}
    answer = pilot.post("/v1/rollback", body)
    _finish(answer["revision"], answer["changed"], wait, timeout, as_json)


def history(number: Number = None, audit: Audit = False, as_json: Json = False) -> None:
    """List the revisions: who put which files in force, when and why.

    The newest one is in force. Below the table are edits in place that are not in force, with the
    reason, and damaged revisions. With a number, print the files of this revision.

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
    state = pilot.get("/v1/state")
    if audit:
        revisions = asyncio.run(_with_records(revisions))
    if as_json:
        notes = {name: state[name] for name in ("findings", "reports")}
        pilot.say_json({"revisions": revisions, **notes})
        return
    columns = ("number", "create_time", "who", "origin", *(("audited",) if audit else ()), "why")
    table("Revisions", [each | {"why": _reason(each)} for each in revisions], columns)
    pilot.say_notes(state)
    events = pilot.get("/v1/events")["events"]
    if events and events["error"]:
        said = f"{events['waiting']} revisions wait for their audit record: {events['error']}"
        typer.echo(visible(said), err=True)


async def _with_records(revisions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to each revision the time, chain and sequence of its audit record."""
    from ops.judge.revisions import audited

    connection = await connections.connect("bp_audit")
    try:
        records = await audited(connection)
    finally:
        await connection.close()
    return [each | {"audited": _record(records, each)} for each in revisions]


def _record(records: dict[tuple[int, str], dict[str, Any]], revision: dict[str, Any]) -> str:
    record = records.get((revision["number"], revision["digest"]))
    if record is None:
        return NOT_YET
    return f"{record['record_time']:%H:%M:%S} chain {record['chain']} no. {record['sequence']}"


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
    nothing: dict[str, list[str]] = {"waiting": [], "not_connected": []}
    synced = pilot.synced(timeout, pilot.CONNECTS_WITHIN_S) if wait else nothing
    waiting, away = synced["waiting"], synced["not_connected"]
    if as_json:
        pilot.say_json({"revision": revision, "changed": changed, **synced})
    else:
        number = revision["number"]
        said = (
            f"Revision {number} is in force." if changed else f"Revision {number} has these files."
        )
        typer.echo(f"{said} {_acknowledged(away)}" if wait and not waiting else said)
    in_force.require_acknowledged(waiting, timeout)
    in_force.require_connected(away)


def _acknowledged(away: list[str]) -> str:
    return f"Every {'connected ' if away else ''}proxy has acknowledged it."


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
