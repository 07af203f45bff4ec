"""Refuses numbers and times that contradict each other, a timeout or a deadline.

Each value is in its own range, which `ingest` checks. In such a combination Envoy ignores the value
or replaces it, or the value makes another setting useless.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from mesh.controlplane import model
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.documents import Place
from mesh.controlplane.ingest.faults import ConfigFault
from mesh.controlplane.ingest.resources import Resource
from mesh.controlplane.ingest.values import RetryCondition, milliseconds

_POLICY: Place = ("spec", "trafficPolicy")
_ON_TIMEOUT: set[RetryCondition] = {"5xx", "gateway-error", "reset"}
"""The conditions that include a try without a response within perTryTimeout."""
_ALL_PERCENT = 100


@dataclass(frozen=True)
class Bound:
    """The longest time that a call may take, and the text that names it in an error."""

    ms: int
    text: str


def shown(ms: int) -> str:
    """Return a time as config/ has it: "30s" or "250ms"."""
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"


def of_timeout(timeout_ms: int) -> Bound:
    """Return the bound that a route's timeout sets."""
    return Bound(timeout_ms, f"the timeout {shown(timeout_ms)}")


def of_deadlines(methods: Iterable[model.Grant]) -> Bound | None:
    """Return the bound of a rule for several methods: the shortest deadline in their contracts."""
    shortest = min(methods, key=lambda each: (each.deadline_ms, each.path), default=None)
    if shortest is None:
        return None
    deadline = shown(shortest.deadline_ms)
    return Bound(
        shortest.deadline_ms, f"{deadline}, the shortest deadline: that of {shortest.path}"
    )


def retry_faults(
    resource: Resource, route: Place, retries: shapes.Retries, bound: Bound
) -> Iterator[ConfigFault]:
    """Yield an error for a try or a back-off that a call of the route has no time for.

    Envoy ignores a perTryTimeout that is not shorter than the timeout. It draws each back-off at
    random, from zero, so a policy is refused only if its tries do not fit without any wait.
    """
    if retries.attempts == 0:
        return
    yield from _shorter(resource, (*route, "retries", "backoff"), retries.backoff, bound)
    at = (*route, "retries", "perTryTimeout")
    found = list(_shorter(resource, at, retries.per_try_timeout, bound))
    yield from found
    if found or retries.per_try_timeout is None or _ON_TIMEOUT.isdisjoint(retries.retry_on or ()):
        return
    tries, per_try_ms = retries.attempts + 1, milliseconds(retries.per_try_timeout)
    if tries * per_try_ms > bound.ms:
        problem = (
            f"{tries} tries with perTryTimeout {shown(per_try_ms)} do not fit into {bound.text};"
            f" set at most {shown(bound.ms // tries)}"
        )
        yield resource.fault(at, problem)


def connect_faults(
    resource: Resource, pool: shapes.ConnectionPool | None, bound: Bound, policy: Place
) -> Iterator[ConfigFault]:
    """Yield an error for a timeout of connections that a call always reaches first."""
    tcp = pool.tcp if pool else None
    if tcp:
        place = (*policy, "connectionPool", "tcp", "connectTimeout")
        yield from _shorter(resource, place, tcp.connect_timeout, bound)


def _shorter(
    resource: Resource, place: Place, span: timedelta | None, bound: Bound
) -> Iterator[ConfigFault]:
    if span is not None and milliseconds(span) >= bound.ms:
        problem = f"{place[-1]} {shown(milliseconds(span))} must be shorter than {bound.text}"
        yield resource.fault(place, problem)


def breaker_faults(
    resource: Resource,
    found: shapes.OutlierDetection | None,
    *,
    partner: bool,
    policy: Place = _POLICY,
) -> Iterator[ConfigFault]:
    """Yield an error for a circuit breaker that never opens, or that closes too late.

    As in Istio, consecutive5xxErrors 0 means that responses do not count, which is useful only if
    failures to connect count. A partner's breaker has to open after its 5xx responses too.
    """
    if found is None:
        return
    at = (*policy, "outlierDetection")
    split = found.split_external_local_origin_errors
    unlimited = split and found.consecutive_local_origin_failures is None
    if unlimited:
        problem = "without consecutiveLocalOriginFailures it has no effect; set that to at least 1"
        yield resource.fault(
            (*at, "splitExternalLocalOriginErrors"),
            f"splitExternalLocalOriginErrors true: {problem}",
        )
    if found.consecutive_5xx_errors == 0 and (partner or not split or unlimited):
        of, instead = "a partner's breaker", ""
        if not partner:
            of, instead = (
                "the breaker",
                ", or set splitExternalLocalOriginErrors and consecutiveLocalOriginFailures",
            )
        problem = f"consecutive5xxErrors 0 would keep {of} closed; set at least 1{instead}"
        yield resource.fault((*at, "consecutive5xxErrors"), problem)
    if partner and found.max_ejection_percent < _ALL_PERCENT:
        problem = (
            f"maxEjectionPercent {found.max_ejection_percent} would keep a partner's breaker"
            f" closed, because a partner has one address; set {_ALL_PERCENT}"
        )
        yield resource.fault((*at, "maxEjectionPercent"), problem)
    interval_ms, open_ms = milliseconds(found.interval), milliseconds(found.base_ejection_time)
    if interval_ms > open_ms:
        problem = (
            f"interval {shown(interval_ms)} must not be longer than baseEjectionTime"
            f" {shown(open_ms)}: an open breaker closes only at the end of an interval"
        )
        yield resource.fault((*at, "interval"), problem)
