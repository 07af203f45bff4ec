"""`bpctl mesh inject`: a fault for some time, which the control plane itself removes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from google.rpc.code_pb2 import Code

from ops.bpctl.connections import fail
from ops.bpctl.mesh import fault_text, in_force, pilot
from ops.bpctl.mesh.canary_text import SERVICE_HOSTS
from ops.bpctl.mesh.durations import seconds
from ops.bpctl.mesh.fault_text import Fault
from ops.bpctl.mesh.names import complete_methods, complete_targets
from ops.bpctl.mesh.options import Force, Json, Timeout
from ops.bpctl.mesh.yaml_text import CannotEdit
from ops.bpctl.transfers import table
from ops.display import visible

STOP, LIST = "stop", "list"
ABORTS = range(400, 600)
What = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE|PARTNER|stop|list",
        help="The service or partner that gets the fault, or stop, or list.",
        autocompletion=complete_targets,
    ),
]
Name = Annotated[
    str,
    typer.Argument(
        help="With stop: the service or partner whose fault ends.", autocompletion=complete_targets
    ),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        help="A method of a service, or a partner's path.",
        autocompletion=complete_methods,
    ),
]
Delay = Annotated[str, typer.Option(help="Wait before the call, such as 2s.")]
Abort = Annotated[str, typer.Option(help="Answer instead: 503, or UNAVAILABLE for gRPC.")]
Percent = Annotated[float, typer.Option(min=0.0001, max=100, help="The share of the calls.")]
For = Annotated[str, typer.Option("--for", help="How long, such as 60s or 5m; at most 24h.")]


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command()(inject)


def inject(
    what: What,
    name: Name = "",
    method: Method = "",
    delay: Delay = "",
    abort: Abort = "",
    percent: Percent = 100.0,
    duration: For = "60s",
    force: Force = False,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Delay or abort a share of the calls to a service or a partner, for some time.

    The control plane removes the fault itself when the time is up, even if this command is killed
    or the control plane restarts meanwhile. Other edits stay. `inject stop NAME` ends it earlier,
    `inject list` shows what is in force.

    If the end of the fault would deny live payments, the command says so now; the fault still ends.

    Exit code 1 if it is refused, 6 if another revision came into force meanwhile, 4 if a proxy has
    not acknowledged it in time or is not connected.

    Example: bpctl mesh inject customers --method GetBalance --delay 2s --percent 10 --for 60s

    Example: bpctl mesh inject fraud --abort 503 --for 2m; bpctl mesh inject stop fraud
    """
    if what in (STOP, LIST):
        if method or delay or abort:
            raise typer.BadParameter(f"{what} takes no fault")
        _stop(name, timeout, as_json) if what == STOP else _list(as_json)
        return
    if name:
        raise typer.BadParameter(f"unexpected {name!r}; name one service or partner")
    fault = _fault(delay, abort, percent)
    made = _Injection(what, method, fault, seconds(duration), force)
    _start(made, timeout, as_json)


def _fault(delay: str, abort: str, percent: float) -> Fault:
    if bool(delay) == bool(abort):
        raise typer.BadParameter("give either --delay or --abort")
    if delay:
        seconds(delay)
    elif abort.isdigit() and int(abort) not in ABORTS:
        raise typer.BadParameter(f"--abort: {abort} is no status from 400 to 599")
    elif not abort.isdigit() and abort not in Code.keys():  # noqa: SIM118 an enum of protobuf
        raise typer.BadParameter(f"--abort: {abort} is no status of HTTP and no code of gRPC")
    return Fault(float(percent), delay, abort)


@dataclass(frozen=True, slots=True)
class _Injection:
    """What a caller wants to inject."""

    what: str
    method: str
    fault: Fault
    for_s: float
    force: bool


def _start(wanted: _Injection, timeout_s: float, as_json: bool) -> None:
    mine, fault = in_force.current(), wanted.fault
    until = datetime.now(UTC) + timedelta(seconds=wanted.for_s)
    note = f"injected until {until:%Y-%m-%d %H:%M:%S} UTC, {secrets.token_hex(4)}"
    try:
        host = fault_text.host_of(mine.files, wanted.what)
        short = host.removesuffix(SERVICE_HOSTS) if host.endswith(SERVICE_HOSTS) else wanted.what
        _require_none(short)
        path = _path(host, wanted.method)
        made = fault_text.injected(mine.files, host, path, fault, note)
    except CannotEdit as error:
        fail(visible(str(error)))
    where = f"{short} {wanted.method or 'all calls'}"
    body: dict[str, Any] = {
        "name": _expiry(short),
        "files": made.files,
        "added": [{"file": file, "text": text} for file, text in made.added],
        "why": f"inject {_words(fault)} into {where} for {wanted.for_s:g} s",
        "seconds": wanted.for_s,
        "parent": mine.number,
        "force": wanted.force,
    }
    answer = pilot.post("/v1/apply-for", body)
    revision, ends = answer["revision"], answer["ends"]
    away = in_force.wait_synced(timeout_s, pilot.CONNECTS_WITHIN_S)
    if as_json:
        shown = {"until": until.isoformat(timespec="seconds"), "ends": ends}
        pilot.say_json({"revision": revision, **shown})
    else:
        said = f"{_words(fault)} in {short} until {until:%H:%M:%S} UTC (revision"
        typer.echo(visible(f"{said} {revision['number']}). End it: bpctl mesh inject stop {short}"))
        for each in ends:
            typer.echo(visible(f"When it ends: {each}"))
    in_force.require_connected(away)


def _require_none(name: str) -> None:
    """Exit with code 1 if a fault is already injected into the service or partner."""
    names = [each["name"] for each in pilot.get("/v1/expiring")["expiring"]]
    if _expiry(name) in names:
        fail(f"{name} has an injected fault; stop it first: bpctl mesh inject stop {name}")


def _path(host: str, method: str) -> str:
    """Return the path of a method; "" without one. Exit with code 1 if it is unknown."""
    if not method or method.startswith("/"):
        return method
    if fault_text.is_partner(host):
        fail(f"{host} is a partner: give --method a path, such as /v1/score.")
    service = host.removesuffix(SERVICE_HOSTS)
    paths = [str(e["path"]) for e in pilot.get(f"/v1/services/{service}")["methods"]]
    found = [each for each in paths if each.rpartition("/")[2] == method]
    if len(found) != 1:
        known = ", ".join(each.rpartition("/")[2] for each in paths)
        fail(visible(f"{service} has no method {method}; there are {known}"))
    return found[0]


def _words(fault: Fault) -> str:
    what = f"delay of {fault.delay}" if fault.delay else f"abort with {fault.abort}"
    return f"{what} for {fault.percent:g} %"


def _expiry(name: str) -> str:
    return f"inject-{name}"


def _stop(name: str, timeout_s: float, as_json: bool) -> None:
    if not name:
        raise typer.BadParameter("name the service or partner whose fault ends")
    body = {"name": _expiry(name), "why": f"inject stop {name}"}
    revision = pilot.post("/v1/expire", body)["revision"]
    away = in_force.wait_synced(timeout_s, pilot.CONNECTS_WITHIN_S)
    if as_json:
        pilot.say_json({"revision": revision})
    else:
        typer.echo(visible(f"No fault is injected into {name} any more."))
    in_force.require_connected(away)


def _list(as_json: bool) -> None:
    found = pilot.get("/v1/expiring")["expiring"]
    if as_json:
        pilot.say_json({"expiring": found})
        return
    rows = [
        {
            "name": str(each["name"]).removeprefix("inject-"),
            "until": datetime.fromtimestamp(float(each["until_s"]), UTC).strftime("%H:%M:%S UTC"),
            "who": each["who"],
            "why": each["why"],
        }
        for each in found
    ]
    table("In force for a limited time", rows, ("name", "until", "who", "why"))
