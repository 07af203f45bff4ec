"""Refuses routes that refer to nothing, that no request reaches, or that would do harm.

A mirror sends a call twice, so it is only for methods whose contract says that they change nothing.
A retry after an answer or a broken connection may repeat a call that was executed, so it is only
for methods whose contract says that a repeated call changes nothing more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import MethodOptions

from mesh.controlplane import model
from mesh.controlplane.drain import CALL_MS_MAX
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.documents import Place
from mesh.controlplane.ingest.faults import ConfigFault
from mesh.controlplane.ingest.fields import suggestion
from mesh.controlplane.ingest.resources import Resource
from mesh.controlplane.ingest.values import RetryCondition, milliseconds
from mesh.controlplane.resolve import bounds
from mesh.controlplane.resolve.routes import condition, source
from services.contracts import MethodContract

_TEXT = model.TextSort
_PREFIXES = (_TEXT.EXACT, _TEXT.PREFIX)
NOT_EXECUTED: tuple[RetryCondition, ...] = (
    "connect-failure",
    "refused-stream",
    "reset-before-request",
    "envoy-ratelimited",
)
"""After these outcomes of a call, no service has executed it."""


@dataclass(frozen=True)
class Target:
    """What is known of the host of a VirtualService."""

    host: str
    methods: tuple[MethodContract, ...] | None
    """None for a partner."""
    subsets: frozenset[str]
    workloads: frozenset[str]
    callers: frozenset[str]
    """The workloads that may call it."""


def route_faults(
    resource: Resource, spec: shapes.VirtualServiceSpec, target: Target
) -> Iterator[ConfigFault]:
    """Yield every error in the routes of a host."""
    for index, each in enumerate(spec.http):
        at: Place = ("spec", "http", index)
        for place, problem in _problems(each, target):
            yield resource.fault((*at, *place), problem)
        for place, problem in _subset_problems(each, target):
            yield resource.fault((*at, *place), problem, absent="DestinationRule")
        for place, problem in _time_problems(each, target):
            yield resource.fault((*at, *place), problem)
        if bound := _bound(each, target):
            yield from bounds.retry_faults(resource, at, each.retries, bound)
    yield from _order_faults(resource, spec.http)


def _problems(route: shapes.HttpRoute, target: Target) -> Iterator[tuple[Place, str]]:
    for index, each in enumerate(route.route):
        at: Place = ("route", index, "destination")
        yield from _destination_problems(at, each.destination, target)
    retries = route.retries
    if retries.attempts and retries.retry_on is None:
        yield ("retries",), "set retryOn: Istio's default also retries calls that had an effect"
    yield from _retry_problems(route, target)
    for index, match in enumerate(route.match or ()):
        for place, problem in _match_problems(match, target):
            yield ("match", index, *place), problem
    if target.methods is not None and route.rewrite:
        yield ("rewrite",), "remove it: a method of the bank has one path, that of its contract"
    if route.mirror:
        yield from _mirror_problems(route, target)


def _destination_problems(
    at: Place, found: shapes.Destination, target: Target
) -> Iterator[tuple[Place, str]]:
    if found.host != target.host:
        problem = f"routing to another host is not supported; set {target.host}"
        yield (*at, "host"), problem
    if found.subset and target.methods is None:
        yield (*at, "subset"), "a partner has one address and no subsets; remove it"


def _subset_problems(route: shapes.HttpRoute, target: Target) -> Iterator[tuple[Place, str]]:
    """Yield the subsets that the DestinationRule of a service does not have."""
    named: list[tuple[Place, str | None]] = [
        (("route", index, "destination", "subset"), each.destination.subset)
        for index, each in enumerate(route.route)
    ]
    if route.mirror:
        named.append((("mirror", "subset"), route.mirror.subset))
    for place, subset in named:
        if subset and target.methods is not None and subset not in target.subsets:
            remedy = suggestion(subset, target.subsets)
            yield place, f"{target.host} has no subset {subset}; {remedy}"


def _match_problems(match: shapes.HttpMatch, target: Target) -> Iterator[tuple[Place, str]]:
    caller = source(match)
    if caller and caller not in target.workloads:
        remedy = suggestion(caller, target.workloads)
        yield ("sourceLabels", "app"), f"no workload is called {caller}; {remedy}"
    elif caller and caller not in target.callers:
        problem = f"{caller} does not call {target.host}; add the host to its Sidecar"
        yield ("sourceLabels", "app"), f"{problem}, or remove the match"
    if match.ignore_uri_case and not match.uri:
        yield ("ignoreUriCase",), "it has no effect without uri; remove it"
    elif match.ignore_uri_case and match.uri and match.uri.regex:
        yield ("ignoreUriCase",), "it has no effect on a regex; begin the regex with (?i)"
    if target.methods is None:
        return
    paths = [each.path for each in target.methods]
    if match.uri and not any(condition(match).may_fit_path(each) for each in paths):
        text = match.uri.exact or match.uri.prefix or match.uri.regex or ""
        yield ("uri",), f"{target.host} has no method at {text}; {suggestion(text, paths)}"
    if match.query_params:
        yield ("queryParams",), "gRPC has no query; remove it"


def _retry_problems(route: shapes.HttpRoute, target: Target) -> Iterator[tuple[Place, str]]:
    """Yield the conditions after which a retry could execute a call of a service twice.

    A partner has no contract; its clients send an idempotency key with what they repeat.
    """
    # Without attempts nothing reads the conditions, so the check reports that they have no effect.
    conditions = (route.retries.retry_on or ()) if route.retries.attempts else ()
    unsafe = [each for each in conditions if each not in NOT_EXECUTED]
    harmful = [each.path for each in _methods(route, target) if not repeatable(each)]
    if unsafe and harmful:
        problem = (
            f"after {unsafe[0]} the call may have been executed, and {harmful[0]} must not be"
            f" executed twice; set only {', '.join(NOT_EXECUTED[:-1])}, or match only methods that"
            " their contract calls idempotent or free of side effects"
        )
        yield ("retries", "retryOn"), problem


def _mirror_problems(route: shapes.HttpRoute, target: Target) -> Iterator[tuple[Place, str]]:
    mirror = route.mirror
    if mirror is None:
        return
    if target.methods is None:
        yield ("mirror",), "a partner would execute each request twice; remove it"
        return
    yield from _destination_problems(("mirror",), mirror, target)
    if mirror.subset is None:
        yield ("mirror",), "set a subset: a copy to the same instances has no use"
    harmful = [each.path for each in _methods(route, target) if not reads_only(each)]
    if harmful:
        problem = f"{harmful[0]} would be executed twice; match only methods without side effects"
        yield ("mirror",), problem


def reads_only(contract: MethodContract) -> bool:
    """Return whether the contract says that the method changes nothing."""
    return _idempotency(contract) == MethodOptions.NO_SIDE_EFFECTS


def repeatable(contract: MethodContract) -> bool:
    """Return whether the contract says that a repeated call changes nothing more.

    With a required idempotency key, a repeated call gets the answer of the first one.
    """
    levels = (MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT)
    return contract.idempotency_key_required or _idempotency(contract) in levels


def _idempotency(contract: MethodContract) -> MethodOptions.IdempotencyLevel.ValueType:
    service = contract.request.file.pool.FindServiceByName(contract.service)
    return service.methods_by_name[contract.name].GetOptions().idempotency_level


def _methods(route: shapes.HttpRoute, target: Target) -> list[MethodContract]:
    """Return the methods to which a route may apply."""
    matches = [condition(each) for each in route.match or ()] or [model.Match()]
    fitting = (each for each in target.methods or ())
    return [each for each in fitting if any(m.may_fit_path(each.path) for m in matches)]


def _time_problems(route: shapes.HttpRoute, target: Target) -> Iterator[tuple[Place, str]]:
    if route.timeout is None:
        without = "without it Envoy ends a call after 15s, and Istio never ends it"
        yield (), f"set a timeout: {without}"
    elif milliseconds(route.timeout) > CALL_MS_MAX:
        seconds = CALL_MS_MAX // 1000
        yield ("timeout",), f"set at most {seconds}s: an edit ends calls that take longer"
    delay = route.fault.delay if route.fault else None
    if delay and route.timeout and delay.fixed_delay >= route.timeout:
        problem = "fixedDelay must be shorter than the timeout; to end every call, use abort"
        yield ("fault", "delay", "fixedDelay"), problem


def _bound(route: shapes.HttpRoute, target: Target) -> bounds.Bound | None:
    limits = [bounds.of_timeout(milliseconds(route.timeout))] if route.timeout else []
    grants = [model.Grant(each.path, each.deadline_ms, ()) for each in _methods(route, target)]
    if found := bounds.of_deadlines(grants):
        limits.append(found)
    return min(limits, key=lambda each: each.ms, default=None)


def _order_faults(resource: Resource, http: Sequence[shapes.HttpRoute]) -> Iterator[ConfigFault]:
    """Yield an error for a route that no request reaches, and for requests without a route."""
    before: list[tuple[int, _Reach]] = []
    for index, each in enumerate(http):
        reaches = [_reach(match) for match in each.match or ()] or [_ALL]
        covering = [_covered(reach, before) for reach in reaches]
        if None not in covering:
            problem = f"no request reaches this route: http.{covering[0]} comes before it"
            yield resource.fault(("spec", "http", index), problem)
        else:
            for number, found in enumerate(covering):
                if found is not None:
                    place = ("spec", "http", index, "match", number)
                    problem = f"no request reaches this match: http.{found} comes before it"
                    yield resource.fault(place, problem)
        before += [(index, reach) for reach in reaches]
    if http[-1].match:
        problem = "add a last route without match: Istio answers other requests with 404"
        yield resource.fault(("spec", "http", len(http) - 1), problem)


@dataclass(frozen=True)
class _Reach:
    """The requests that a match takes."""

    caller: str | None
    match: model.Match

    def includes(self, other: "_Reach") -> bool:
        """Return whether every request of the other is surely one of these."""
        mine, theirs = self.match, other.match
        return (
            self.caller in (None, other.caller)
            and (mine.path is None or mine.path_ignores_case == theirs.path_ignores_case)
            and _implied(mine.path, theirs.path)
            and _implied(mine.method, theirs.method)
            and set(mine.headers) <= set(theirs.headers)
            and set(mine.query) <= set(theirs.query)
        )


_ALL = _Reach(None, model.Match())


def _reach(match: shapes.HttpMatch) -> _Reach:
    return _Reach(source(match), condition(match))


def _covered(reach: _Reach, before: list[tuple[int, _Reach]]) -> int | None:
    return next((index for index, each in before if each.includes(reach)), None)


def _implied(wide: model.Text | None, narrow: model.Text | None) -> bool:
    if wide is None or wide == narrow:
        return True
    if narrow is None or wide.sort is not _TEXT.PREFIX or narrow.sort not in _PREFIXES:
        return False
    return narrow.value.startswith(wide.value)


def contracts_of(name: str, contracts: Mapping[str, MethodContract]) -> tuple[MethodContract, ...]:
    """Return the contracts of one service's methods."""
    return tuple(each for each in contracts.values() if each.deployable == name)
