"""Answers questions about a mesh: who may call what, why, and under which policy. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mesh.controlplane import model
from services.contracts import GATEWAY, spiffe_id


class UnknownName(LookupError):
    """No workload, partner or method has this name; the message lists those that exist."""


class Rule(StrEnum):
    """What decides about a call, in the order in which a call meets it."""

    EGRESS = "the caller's Sidecar"
    DENY = "AuthorizationPolicy"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call is allowed; `rule` decided it, `why` says how."""

    path: str
    allowed: bool
    rule: Rule
    why: str
    dry_run: tuple[str, ...] = ()
    """Policies in dry run that would deny it."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One caller and one callee, with the methods that it may call; () for a partner."""

    caller: str
    callee: str
    partner: bool
    methods: tuple[str, ...]


def decide(mesh: model.Mesh, caller: str, callee: str, method: str) -> list[Decision]:
    """Return the decision about each method of the callee that `method` names.

    `method` is a path, "Service/Method" or a method's name. Raises UnknownName.
    """
    target = _sidecar(mesh, callee)
    paths = [each.path for each in target.grants if _is_named(each.path, method)]
    if not paths:
        known = ", ".join(sorted(each.path.rpartition("/")[2] for each in target.grants))
        raise UnknownName(f"{callee} has no method {method}; it has {known or 'none'}")
    return [_decide(mesh, caller, target, path) for path in paths]


def edges(mesh: model.Mesh) -> list[Edge]:
    """Return every pair of caller and callee between which a call is allowed."""
    found = [
        Edge(sidecar.workload.name, target.name, partner=False, methods=methods)
        for sidecar in mesh.sidecars
        for target in sidecar.services
        if (methods := _allowed(mesh, sidecar.workload.name, target.name))
    ]
    found += [
        Edge(GATEWAY, target.name, partner=False, methods=methods)
        for target in mesh.edge.services
        if (methods := _allowed(mesh, GATEWAY, target.name))
    ]
    found += [
        Edge(name, partner.host, partner=True, methods=())
        for name, partners in _partners(mesh)
        for partner in partners
    ]
    return sorted(found, key=lambda each: (each.caller, each.partner, each.callee))


def describe(mesh: model.Mesh, name: str) -> dict[str, object]:
    """Return everything about one service: instances, callers, methods, calls and policies."""
    sidecar = _sidecar(mesh, name)
    targets = [
        target
        for services in (*(each.services for each in mesh.sidecars), mesh.edge.services)
        for target in services
        if target.name == name
    ]
    return {
        "service": name,
        "identity": sidecar.workload.identity,
        "instances": [_instance(name, each) for each in mesh.instances.get(name, ())],
        "callers": sorted({each.caller for each in edges(mesh) if each.callee == name}),
        "methods": [_method(each) for each in sidecar.grants],
        "policies": [_policy(each) for each in sidecar.policies],
        "traffic": _traffic(targets[0].traffic) if targets else None,
        "calls": [
            *({"service": each.name, **_traffic(each.traffic)} for each in sidecar.services),
            *({"partner": each.host, **_traffic(each.traffic)} for each in sidecar.partners),
        ],
    }


def _decide(mesh: model.Mesh, caller: str, target: model.Sidecar, path: str) -> Decision:
    identity, callee = spiffe_id(caller), target.workload.name
    listed = _reaches(mesh, caller, callee)
    denying = [each for each in target.policies if _denies(each, identity, path)]
    dry = tuple(each.name for each in denying if each.dry_run)
    enforced = [each.name for each in denying if not each.dry_run]
    if not listed:
        why = f"{caller} does not list {callee}"
        return Decision(path, allowed=False, rule=Rule.EGRESS, why=why, dry_run=dry)
    if enforced:
        why = f"{enforced[0]} denies it"
        return Decision(path, allowed=False, rule=Rule.DENY, why=why, dry_run=dry)
    grant = next(each for each in target.grants if each.path == path)
    allowed = identity in grant.principals
    who = ", ".join(each.rpartition("/")[2] for each in grant.principals) or "no caller"
    why = f"the contract allows {who}"
    return Decision(path, allowed=allowed, rule=Rule.CONTRACT, why=why, dry_run=dry)


def _allowed(mesh: model.Mesh, caller: str, callee: str) -> tuple[str, ...]:
    target = _sidecar(mesh, callee)
    decisions = [_decide(mesh, caller, target, each.path) for each in target.grants]
    return tuple(each.path for each in decisions if each.allowed)


def matches(policy: model.Policy, identity: str, path: str) -> bool:
    """Return whether a policy applies to the calls of a caller to a method."""
    return any(each.fits_caller(identity) and each.fits_path(path) for each in policy.rules)


def _denies(policy: model.Policy, identity: str, path: str) -> bool:
    return policy.verdict is model.Verdict.DENY and matches(policy, identity, path)


def _reaches(mesh: model.Mesh, caller: str, callee: str) -> bool:
    if caller == GATEWAY:
        return any(each.name == callee for each in mesh.edge.services)
    return any(each.name == callee for each in _sidecar(mesh, caller).services)


def _partners(mesh: model.Mesh) -> Iterator[tuple[str, tuple[model.Partner, ...]]]:
    for each in mesh.sidecars:
        yield each.workload.name, each.partners
    yield GATEWAY, mesh.edge.partners


def _sidecar(mesh: model.Mesh, name: str) -> model.Sidecar:
    found = {each.workload.name: each for each in mesh.sidecars}
    if name not in found:
        known = ", ".join([*sorted(found), GATEWAY])
        raise UnknownName(f"no workload is called {name}; there are {known}")
    return found[name]


def _is_named(path: str, method: str) -> bool:
    wanted = f"/{method.removeprefix('/')}"
    return path == wanted or path.endswith((f".{method}", wanted))


def _instance(service: str, each: model.Instance) -> dict[str, object]:
    return {
        "instance": f"{service}-{each.number}",
        "address": f"{each.place.host}:{each.place.port}",
        "version": each.version,
        "state": each.state.name,
    }


def _method(grant: model.Grant) -> dict[str, object]:
    callers = [each.rpartition("/")[2] for each in grant.principals]
    return {"path": grant.path, "deadline_ms": grant.deadline_ms, "callers": callers}


def _policy(policy: model.Policy) -> dict[str, object]:
    return {"name": policy.name, "verdict": policy.verdict.name, "dry_run": policy.dry_run}


def _traffic(traffic: model.Traffic) -> dict[str, object]:
    retry, breaker = traffic.retry, traffic.breaker
    return {
        "timeout_ms": traffic.timeout_ms,
        "retries": retry.attempts if retry else 0,
        "backoff_ms": retry.backoff_ms if retry else None,
        "breaker_failures": breaker.failures if breaker else None,
        "breaker_open_ms": breaker.open_ms if breaker else None,
        "connections_max": traffic.pool.connections_max,
        "requests_max": traffic.pool.requests_max,
    }
