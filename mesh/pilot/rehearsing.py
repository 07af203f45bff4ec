"""What another configuration would do to the calls of the last minutes. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from mesh.controlplane import model
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot
from mesh.controlplane.translate.edge.names import JWT
from mesh.controlplane.translate.edge.routes import NAME as EDGE
from mesh.controlplane.translate.host_routes import GRACE_MS
from mesh.pilot.explain import Decision, Rule, UnknownName, decide
from mesh.pilot.findings import Finding, Refused
from mesh.pilot.traffic import CLIENTS, LiveEdge
from services.contracts import GATEWAY, MethodContract


class Effect(StrEnum):
    """What happens to a call."""

    DENIED = "denied"
    ALLOWED = "newly allowed"
    REROUTED = "routed elsewhere"
    FAULT = "gets an injected fault"
    TIMEOUT = "timeout shorter than the observed p99"
    NO_INSTANCE = "subset without a ready instance"
    DRY_RUN = "denied if the dry run were enforced"
    KEYS_LOST = "the gateway loses the token issuer's keys"


HARMFUL = frozenset({Effect.DENIED, Effect.NO_INSTANCE, Effect.KEYS_LOST})
"""Calls fail that succeed now."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One effect; `calls` is how many calls of the window it would have met."""

    effect: Effect
    caller: str
    callee: str
    method: str
    calls: int
    why: str
    payment: bool = False
    """Whether these calls are part of a payment."""


@dataclass(frozen=True, slots=True)
class Side:
    """One configuration: the model, and the resources of the proxies."""

    mesh: model.Mesh
    nodes: Mapping[str, NodeSnapshot]


class CallsDenied(Refused):
    """The edit would make payments fail. Change it, or apply it with --force."""

    def __init__(self, found: list[Seen]) -> None:
        lines = [
            f"{each.caller} → {each.callee} {each.method}: {each.calls} live calls would be"
            f" denied: {each.why}"
            for each in found
        ]
        lines.append("Change the edit, or apply it with --force.")
        super().__init__([Finding("", 0, each) for each in lines])


class KeysLost(ValueError):
    """The edit would leave the gateway without keys until the token issuer answers again."""


def rehearse(
    before: Side,
    after: Side,
    live: Iterable[LiveEdge],
    contracts: Mapping[str, MethodContract],
    *,
    issuer_is_down: bool = False,
) -> list[Seen]:
    """Return every effect of `after` on the calls that `before` has seen."""
    found = [*_keys_lost(before, after)] if issuer_is_down else []
    for edge in _met(live):
        payment = is_payment(edge, contracts)
        for effect, why in _effects(before.mesh, after.mesh, edge):
            calls = edge.denied if effect is Effect.ALLOWED else edge.calls
            name = edge.caller, edge.callee, edge.method
            found.append(Seen(effect, *name, calls, why, payment))
    return [*found, *_without_instances(after.mesh)]


def size(live: Iterable[LiveEdge]) -> tuple[int, int]:
    """Return on how many callers and methods an edit is rehearsed, and on how many calls."""
    met = _met(live)
    return len(met), sum(each.calls for each in met)


def require_no_loss(found: Iterable[Seen]) -> None:
    """Raise CallsDenied if a payment would be denied, KeysLost if the gateway loses its keys."""
    every = list(found)
    denied = [each for each in every if each.effect is Effect.DENIED and each.payment]
    if denied:
        raise CallsDenied(denied)
    for each in every:
        if each.effect is Effect.KEYS_LOST:
            raise KeysLost(f"{each.why}. Wait for the issuer, or apply the edit with --force.")


def is_payment(edge: LiveEdge, contracts: Mapping[str, MethodContract]) -> bool:
    """Return whether a call is made by, or is for, a service that takes orders of payments.

    Exactly the methods that order payments require an idempotency key.
    """
    ordering = {each.deployable for each in contracts.values() if each.idempotency_key_required}
    method = contracts.get(edge.method)
    serving = method.deployable if method else edge.callee
    return bool(ordering & {edge.caller, edge.callee, serving})


def _met(live: Iterable[LiveEdge]) -> list[LiveEdge]:
    """Return the calls that an edit can meet: a customer's call is also one of the gateway."""
    return [each for each in live if each.calls and each.caller != CLIENTS]


def _effects(before: model.Mesh, after: model.Mesh, edge: LiveEdge) -> Iterator[tuple[Effect, str]]:
    old, new = _decision(before, edge), _decision(after, edge)
    if old.allowed and not new.allowed:
        yield Effect.DENIED, new.why
    if new.allowed and not old.allowed:
        yield Effect.ALLOWED, new.why
    if not (old.allowed and new.allowed):
        return
    if added := [name for name in new.dry_run if name not in old.dry_run]:
        yield Effect.DRY_RUN, ", ".join(added)
    if (was := _where(before, edge)) != (will := _where(after, edge)):
        yield Effect.REROUTED, f"{was} → {will}"
    if (fault := _faults(after, edge)) and fault != _faults(before, edge):
        yield Effect.FAULT, fault
    old_ms, new_ms = _timeout_ms(before, edge), _timeout_ms(after, edge)
    p99_ms = edge.p99_ms
    if new_ms and new_ms != old_ms and p99_ms is not None and new_ms < p99_ms:
        yield Effect.TIMEOUT, f"{new_ms} ms; the observed p99 is {p99_ms:.0f} ms"


def _decision(mesh: model.Mesh, edge: LiveEdge) -> Decision:
    if edge.callee == GATEWAY:
        return _at_gateway(mesh.edge, edge)
    if not edge.method:
        known = _target(mesh, edge) is not None
        why = f"{edge.caller} {'lists' if known else 'does not list'} {edge.callee}"
        return Decision("", allowed=known, rule=Rule.EGRESS, why=why)
    try:
        return decide(mesh, edge.caller, edge.callee, edge.method)[0]
    except UnknownName as error:
        return Decision(edge.method, allowed=False, rule=Rule.CONTRACT, why=str(error))


def _at_gateway(gateway: model.Edge, edge: LiveEdge) -> Decision:
    """Return whether the gateway accepts the certificate of a partner for a method."""
    known = dict(gateway.partner_principals)
    names = {
        name for each in gateway.routes if each.method == edge.method for name in each.partners
    }
    accepted = sorted({each for name in names for each in known.get(name, ())})
    allowed = not names or edge.caller in accepted
    why = f"the gateway accepts {', '.join(accepted) or 'no certificate'}"
    return Decision(edge.method, allowed=allowed, rule=Rule.CONTRACT, why=why)


def _target(mesh: model.Mesh, edge: LiveEdge) -> model.ServiceTarget | model.Partner | None:
    """Return the callee as the caller's proxy sees it."""
    callers = {each.workload.name: each for each in (*mesh.sidecars, mesh.edge)}
    caller = callers.get(edge.caller)
    if caller is None:
        return None
    services = (each for each in caller.services if each.name == edge.callee)
    partners = (each for each in caller.partners if each.host == edge.callee)
    return next(iter((*services, *partners)), None)


def _ways(mesh: model.Mesh, edge: LiveEdge) -> list[model.Route]:
    """Return the routes that a call may take, up to the one that takes every call."""
    target, found = _target(mesh, edge), list[model.Route]()
    for route in target.routes if target else ():
        matches = [each for each in route.matches if _may_fit(each, edge)]
        if matches or not route.matches:
            found.append(replace(route, matches=tuple(_left(each, edge) for each in matches)))
        if not route.matches or any(_left(each, edge) == model.Match() for each in matches):
            break
    return found


def _may_fit(match: model.Match, edge: LiveEdge) -> bool:
    return not edge.method or match.may_fit_path(edge.method)


def _left(match: model.Match, edge: LiveEdge) -> model.Match:
    """Return the conditions that the method does not decide."""
    return replace(match, path=None, path_ignores_case=False) if edge.method else match


def _where(mesh: model.Mesh, edge: LiveEdge) -> str:
    """Return where the routes of a call lead, in words."""
    target = _target(mesh, edge)
    if isinstance(target, model.Partner):
        place = f"{target.place.host}:{target.place.port}"
        return _joined([place, f"as {target.authority_sent}", *map(_way, _ways(mesh, edge))])
    return _joined(map(_way, _ways(mesh, edge)))


def _way(route: model.Route) -> str:
    whole = sum(each.weight for each in route.destinations) or 1
    shares = [
        f"{each.subset or 'all instances'} {100 * each.weight / whole:g} %"
        for each in route.destinations
        if each.weight
    ]
    said = ", ".join(shares)
    if route.rewrite is not None:
        said += f", rewritten to {route.rewrite.authority or ''}{route.rewrite.path or ''}"
    for each in route.mirrors:
        said += f", mirrored to {each.subset or 'all instances'}"
    if any(each.headers or each.query or each.method or each.path for each in route.matches):
        said += " (some calls)"
    return said


def _faults(mesh: model.Mesh, edge: LiveEdge) -> str:
    found: list[str] = []
    for each in _ways(mesh, edge):
        if each.delay is not None:
            found.append(f"{each.delay.ms} ms for {_percent(each.delay.per_million)}")
        if each.abort is not None:
            code = each.abort.grpc_status or each.abort.http_status
            found.append(f"{code} for {_percent(each.abort.per_million)}")
    return _joined(found)


def _percent(per_million: int) -> str:
    return f"{100 * per_million / model.WHOLE:g} %"


def _joined(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))


def _timeout_ms(mesh: model.Mesh, edge: LiveEdge) -> int | None:
    """Return the shortest timeout of the routes of a call."""
    target = _target(mesh, edge)
    methods = target.methods if isinstance(target, model.ServiceTarget) else ()
    found = [each.deadline_ms + GRACE_MS for each in methods if each.path == edge.method]
    found += [each.timeout_ms for each in _ways(mesh, edge) if each.timeout_ms is not None]
    return min(found, default=None)


def _keys_lost(before: Side, after: Side) -> Iterator[Seen]:
    for kind, name in ((Kind.EXTENSION, JWT), (Kind.LISTENER, EDGE)):
        old, new = (_version(each, kind, name) for each in (before, after))
        if old and old != new:
            what = "its token filter" if kind is Kind.EXTENSION else "its listener"
            why = (
                f"the edit replaces {what}, which has the keys, and the token issuer is down:"
                " every customer would get a 503"
            )
            yield Seen(Effect.KEYS_LOST, CLIENTS, GATEWAY, "", 0, why)


def _version(side: Side, kind: Kind, name: str) -> str:
    node = side.nodes.get(side.mesh.edge.workload.node)
    found = node.resources[kind].get(name) if node else None
    return found.version if found else ""


def _without_instances(mesh: model.Mesh) -> list[Seen]:
    """Return the shares of routes whose subset has no ready instance."""
    found: dict[tuple[str, str, str], Seen] = {}
    for caller in (*mesh.sidecars, mesh.edge):
        for target in caller.services:
            for subset in _empty(target):
                name = caller.workload.name, target.name, subset
                why = f"no ready instance has the subset {subset}, and a route sends calls to it"
                found[name] = Seen(Effect.NO_INSTANCE, name[0], target.name, "", 0, why)
    return list(found.values())


def _empty(target: model.ServiceTarget) -> Iterator[str]:
    used = {each.subset for route in target.routes for each in route.destinations if each.weight}
    for subset in target.subsets:
        ready = any(each.state is model.InstanceState.READY for each in subset.instances)
        if subset.name in used and not ready:
            yield subset.name
