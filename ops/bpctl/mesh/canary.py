"""`bpctl mesh canary start | promote | rollback | status`: a new version gets a share of the calls.

Each change is a revision with a reason. An order keeps every call whole: instances get calls only
while the weights say so, because without weights every ready instance gets its share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from ops.bpctl.connections import fail
from ops.bpctl.mesh import canary_text, canary_watch, draining, in_force, pilot
from ops.bpctl.mesh.canary_text import WHOLE, Canary
from ops.bpctl.mesh.canary_watch import Limits
from ops.bpctl.mesh.durations import seconds
from ops.bpctl.mesh.in_force import InForce
from ops.bpctl.mesh.names import complete_services
from ops.bpctl.mesh.options import Force, Json, Timeout
from ops.bpctl.mesh.yaml_text import CannotEdit, Files
from ops.bpctl.transfers import table
from ops.display import visible

ROLLED_BACK = 5
"""Exit code: too many calls of the canary failed, and all calls go to the stable version again."""
TOO_FEW = 7
"""Exit code: a step has had too few calls to be judged. Its weight stays."""
ROLLBACKS_MAX = 5
"""How often an automatic rollback is tried if other changes come into force meanwhile."""
REVISIONS_SEARCHED_MAX = 50
READY = "READY"
Service = Annotated[
    str,
    typer.Argument(help="A service, such as customers.", autocompletion=complete_services),
]
Version = Annotated[str, typer.Option("--version", help="The new version of the instances.")]
Weight = Annotated[int, typer.Option(min=1, max=WHOLE, help="Percent of the calls.")]
Steps = Annotated[str, typer.Option(help="Weights one after the other, such as 10,50,100.")]
Every = Annotated[str, typer.Option(help="How long each step is watched, such as 30s.")]
Longest = Annotated[str, typer.Option(help="How long a step with too few calls is watched.")]
MinCalls = Annotated[int, typer.Option(min=0, help="Calls that a step needs before the next one.")]
Threshold = Annotated[
    float, typer.Option(min=0, max=100, help="Percent of failed calls that roll a step back.")
]
KeepOld = Annotated[bool, typer.Option("--keep-old", help="Only shift all calls.")]


def register(group: typer.Typer) -> None:
    """Add the group."""
    made = typer.Typer(no_args_is_help=True, help="Give a new version a share of the calls.")
    for command in (start, promote, rollback, status):
        made.command()(command)
    group.add_typer(made, name="canary")


def start(
    service: Service,
    version: Version,
    weight: Weight = 10,
    steps: Steps = "",
    every: Every = "30s",
    longest: Longest = "10m",
    min_calls: MinCalls = canary_watch.CALLS_MIN,
    threshold: Threshold = 1.0,
    force: Force = False,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Give instances of a new version a share of a service's calls.

    It is refused if no instance has the version. Instances that are held back (DRAINING) take calls
    from now on.

    With --steps, each weight is watched for --every. If more than --threshold percent of the calls
    fail, all calls go to the stable version again (exit code 5). A step with fewer than --min-calls
    calls is watched for up to --longest; if they are still too few, the weight stays (exit code 7).
    A step with few calls is rolled back too if nearly all of them fail. If the command is killed,
    the weight of its last step stays.

    Example: bpctl mesh canary start customers --version v2 --steps 10,50,100 --every 30s
    """
    weights = _weights(steps, weight)
    limits = Limits(seconds(every), seconds(longest), threshold, min_calls)
    how = _How(timeout, force)
    planned = _planned(service, version, weights[0])
    mine = in_force.current()
    _require_no_fault(service)
    held = _of_version(service, version, ready=False)
    if held:
        mine = _put(mine, _started(mine, replace(planned, weight=0)), planned, how)
        draining.set_drained(held, drained=False, timeout_s=timeout)
        mine = _shift(mine, planned, how)
    else:
        mine = _put(mine, _started(mine, planned), planned, how)
    for at, each in enumerate(weights):
        step = replace(planned, weight=each)
        if at:
            mine = _shift(in_force.current(), step, how)
        typer.echo(visible(_said(step)), err=as_json)
        if steps:
            _watched(step, limits, how, as_json)
    _end(service, as_json)
    _require_connected(timeout)


def promote(
    service: Service,
    keep_old: KeepOld = False,
    force: Force = False,
    timeout: Timeout = 30.0,
    as_json: Json = False,
) -> None:
    """Give all calls to the new version, drain the others, and remove the weights.

    The other instances drain until `bpctl mesh drain --undo`. With --keep-old they stay ready and
    the weights stay at 100, so a rollback needs only one change.

    Example: bpctl mesh canary promote customers
    """
    mine = in_force.current()
    canary = replace(_running(mine, service), weight=WHOLE)
    _require_no_fault(service)
    mine = _shift(mine, canary, _How(timeout, force))
    if not keep_old:
        others = [
            str(each["instance"])
            for each in draining.instances(service)
            if each["state"] == READY and each["version"] != canary.version
        ]
        draining.set_drained(others, drained=True, timeout_s=timeout)
        mine = in_force.current()
        why = f"canary {service}: {canary.version} is promoted"
        files = canary_text.finished(mine.files, canary)
        in_force.put(files, why, mine.number, timeout, force=force)
    _end(service, as_json)
    _require_connected(timeout)


def rollback(
    service: Service, force: Force = False, timeout: Timeout = 30.0, as_json: Json = False
) -> None:
    """Give all calls to the stable version, hold the new instances back, and restore the files.

    Example: bpctl mesh canary rollback customers
    """
    _roll_back(service, _How(timeout, force))
    _end(service, as_json)
    _require_connected(timeout)


@dataclass(frozen=True, slots=True)
class _How:
    """How each revision of a canary is applied."""

    timeout_s: float
    force: bool


def _roll_back_now(service: str, how: _How) -> None:
    """Roll back also if other changes come into force meanwhile: no SRE may be there to repeat."""
    for left in reversed(range(ROLLBACKS_MAX)):
        try:
            return _roll_back(service, how)
        except typer.Exit as ended:
            if ended.exit_code != pilot.CONFLICT or not left:
                raise


def _roll_back(service: str, how: _How) -> None:
    """Undo a canary: stable instances first, then the weights, then the files."""
    mine = in_force.current()
    canary = _running(mine, service)
    _require_no_fault(service)
    stable = _of_version(service, canary.stable, ready=False)
    draining.set_drained(stable, drained=False, timeout_s=how.timeout_s)
    mine = _shift(mine, replace(canary, weight=0), how)
    new = _of_version(service, canary.version, ready=True)
    draining.set_drained(new, drained=True, timeout_s=how.timeout_s)
    now = replace(canary, weight=0)
    before = _before(service)
    files = canary_text.restored(mine.files, before, now) if before else None
    if files is None:
        typer.echo("The files were edited since; only the weights are removed.", err=True)
        files = canary_text.finished(mine.files, now)
    why = f"canary {service}: {canary.version} is rolled back"
    in_force.put(files, why, mine.number, how.timeout_s, force=how.force)


def status(service: Service, as_json: Json = False) -> None:
    """Show the weights, the instances of each version, and how many of their calls failed.

    Exit code 1 if there is no canary.

    Example: bpctl mesh canary status customers
    """
    canary = _found(in_force.current().files, service)
    _end(service, as_json)
    raise typer.Exit(0 if canary else 1)


def _end(service: str, as_json: bool) -> None:
    canary = _found(in_force.current().files, service)
    known = draining.instances(service)
    rows = canary_watch.rows(canary, known)
    if as_json:
        shares = {"stable": canary.stable, "version": canary.version} if canary else None
        weight = {"weight": canary.weight} if canary else {}
        shown = {**shares, **weight} if shares else None
        pilot.say_json({"service": service, "canary": shown, "versions": rows})
        return
    typer.echo(visible(_said(canary) if canary else f"{service} has no canary."))
    table("Versions", rows, ("version", "weight", "instances", "calls", "failed"))


def _said(canary: Canary) -> str:
    return (
        f"{canary.service}: {canary.weight} % of the calls go to {canary.version}, "
        f"{WHOLE - canary.weight} % to {canary.stable}."
    )


def _weights(steps: str, weight: int) -> list[int]:
    if not steps:
        return [weight]
    try:
        found = [int(each) for each in steps.split(",")]
    except ValueError:
        found = []
    if not found or found != sorted(set(found)) or not 0 < found[0] <= found[-1] <= WHOLE:
        raise typer.BadParameter(f"{steps!r}: write growing percentages, such as 10,50,100")
    return found


def _planned(service: str, version: str, weight: int) -> Canary:
    """Return the canary to start; exit with code 1 if the instances do not allow it."""
    known = draining.instances(service)
    if not any(each["version"] == version for each in known):
        have = ", ".join(f"{each['instance']} {each['version'] or '-'}" for each in known)
        fail(visible(f"No instance of {service} has version {version}: {have}. Start one first."))
    stable = {
        str(each["version"])
        for each in known
        if each["state"] == READY and each["version"] != version
    }
    if len(stable) != 1 or "" in stable:
        have = ", ".join(sorted(stable)) or "none"
        fail(f"The ready instances must have one other version than {version}; they have: {have}.")
    return Canary(service, stable.pop(), version, weight)


def _of_version(service: str, version: str, *, ready: bool) -> list[str]:
    return [
        str(each["instance"])
        for each in draining.instances(service)
        if each["version"] == version and (each["state"] == READY) == ready
    ]


def _found(files: Files, service: str) -> Canary | None:
    try:
        return canary_text.found(files, service)
    except CannotEdit as error:
        fail(visible(str(error)))


def _running(mine: InForce, service: str) -> Canary:
    canary = _found(mine.files, service)
    if canary is None:
        fail(f"{service} has no canary.")
    return canary


def _started(mine: InForce, canary: Canary) -> Files:
    try:
        return canary_text.started(mine.files, canary)
    except CannotEdit as error:
        fail(visible(str(error)))


def _shift(mine: InForce, canary: Canary, how: _How) -> InForce:
    return _put(mine, canary_text.shifted(mine.files, canary), canary, how)


def _put(mine: InForce, files: Files, canary: Canary, how: _How) -> InForce:
    shown = canary_text.found(files, canary.service) or canary
    why = f"canary {canary.service}: {shown.weight} % to {canary.version}"
    made = in_force.put(files, why, mine.number, how.timeout_s, force=how.force)
    return InForce(int(made["number"]), files)


def _before(service: str) -> Files | None:
    """Return the files of the newest revision without a canary of the service."""
    revisions = pilot.get("/v1/history", limit=REVISIONS_SEARCHED_MAX)["revisions"]
    for each in revisions:
        files = in_force.of(int(each["number"])).files
        try:
            if canary_text.found(files, service) is None:
                return files
        except CannotEdit:
            continue
    return None


def _require_no_fault(service: str) -> None:
    """Exit with code 1 while a fault is injected: an edit of its text would keep it in force."""
    names = [each["name"] for each in pilot.get("/v1/expiring")["expiring"]]
    if f"inject-{service}" in names:
        fail(f"A fault is injected into {service}. Run `bpctl mesh inject stop {service}`.")


def _require_connected(timeout_s: float) -> None:
    in_force.require_connected(in_force.wait_synced(timeout_s, pilot.CONNECTS_WITHIN_S))


def _watched(step: Canary, limits: Limits, how: _How, as_json: bool) -> None:
    """Watch a step; end the command if the next one must not follow."""
    found = canary_watch.watch(step, draining.instances(step.service), limits)
    said = f"{found.total} calls, {found.failed} failed ({found.percent:.1f} %)"
    if canary_watch.is_too_bad(found, limits.threshold_percent):
        _roll_back_now(step.service, how)
        fail(f"Rolled back at {step.weight} %: {said}.", ROLLED_BACK)
    typer.echo(said, err=as_json)
    if found.total < limits.calls_min:
        fail(
            f"Too few calls to judge {step.weight} %: {limits.calls_min} are needed. The weight"
            " stays. Run canary start again with the later --steps, canary promote or canary"
            " rollback; with --min-calls 0 the next step needs no calls.",
            TOO_FEW,
        )
