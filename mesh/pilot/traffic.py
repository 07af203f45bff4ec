"""Who calls whom, from the counters of the proxies. Pure.

A sidecar counts the calls that its own service makes, by the service's identity, and those that it
receives, by the caller's. The caller's count is used: a call that fails on the way is only in it.
The gateway counts its customers' calls, so its own calls are counted by the services' sidecars.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from mesh.controlplane import model
from mesh.pilot.window import Counted, View
from services.contracts import GATEWAY

CLIENTS = "clients"
"""The callers of the gateway without a certificate; the others are partners, by their SPIFFE ID."""
SERVICE, PARTNER = "service/", "partner/"
"""The prefixes of the names of clusters and of routes without a method."""
_ABSENT = ("", "-")
_HEAD = "HEAD "
OPEN, FULL, CLOSED = "open", "full", "closed"


@dataclass(frozen=True, slots=True)
class LiveEdge:
    """The calls of one caller to one method, in `seconds`; `method` is "" for a partner."""

    caller: str
    callee: str
    method: str
    seconds: float
    calls: int
    failed: int
    denied: int
    """With 403 or PERMISSION_DENIED, from whichever proxy or service."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    retries: int | None = None
    """None where only the destination as a whole counts them."""
    breaker: str = ""
    """The circuit breaker: closed, open; or full, if a limit of the pool is reached."""
    unanswered: int = 0
    """Without an answer: the caller left, or its deadline passed, as when the callee hangs."""

    @property
    def per_second(self) -> float:
        """The rate."""
        return self.calls / self.seconds if self.seconds else 0.0

    @property
    def failed_percent(self) -> float:
        """The share of calls whose server failed."""
        return 100.0 * self.failed / self.calls if self.calls else 0.0

    @property
    def unanswered_percent(self) -> float:
        """The share of calls without an answer."""
        return 100.0 * self.unanswered / self.calls if self.calls else 0.0


_Named = tuple[str, str, str]


def by_method(view: View, mesh: model.Mesh) -> list[LiveEdge]:
    """Return every caller and method with calls, by name."""
    found = _named(view.counted(), mesh)
    return [_edge(*name, view.seconds, found[name]) for name in sorted(found)]


def by_callee(view: View, mesh: model.Mesh) -> list[LiveEdge]:
    """Return every caller and callee with calls, with the retries and the circuit breaker."""
    found: dict[tuple[str, str], Counted] = {}
    for (caller, callee, _), each in _named(view.counted(), mesh).items():
        found.setdefault((caller, callee), Counted()).add(each)
    retries, breakers = _retries(view, mesh), _breakers(view, mesh)
    return [
        _edge(*pair, "", view.seconds, found[pair], retries[pair], breakers.get(pair, ""))
        for pair in sorted(found)
    ]


def _edge(
    caller: str,
    callee: str,
    method: str,
    seconds: float,
    counted: Counted,
    retries: int | None = None,
    breaker: str = "",
) -> LiveEdge:
    return LiveEdge(
        caller,
        callee,
        method,
        seconds,
        calls=counted.total,
        failed=counted.failed,
        denied=sum(n for outcome, n in counted.outcomes.items() if _is_denied(outcome)),
        unanswered=counted.unanswered,
        p50_ms=counted.quantile_ms(0.5),
        p95_ms=counted.quantile_ms(0.95),
        p99_ms=counted.quantile_ms(0.99),
        retries=retries,
        breaker=breaker,
    )


def _is_denied(outcome: str) -> bool:
    http, _, code = outcome.partition("/")
    return http == "403" or code == "7"


def _named(
    counted: Mapping[tuple[str, str, str], Counted], mesh: model.Mesh
) -> dict[_Named, Counted]:
    """Return the calls by caller, callee and method, each counted by one proxy only."""
    workloads = _workloads(mesh)
    served = {grant.path: each.workload.name for each in mesh.sidecars for grant in each.grants}
    found: dict[_Named, Counted] = {}
    for (node, caller, method), each in counted.items():
        own = _workload(workloads, node)
        name = own and _name(own, caller, method, served)
        if name and each.total:
            found.setdefault(name, Counted()).add(each)
    return found


def _name(own: str, caller: str, method: str, served: Mapping[str, str]) -> _Named | None:
    """Return the name of a count at the proxy of a workload, or None if another proxy has it."""
    if method in _ABSENT:
        return None
    if own == GATEWAY:
        return (CLIENTS if caller in _ABSENT else caller), GATEWAY, _called(method)
    workload = caller.rpartition("/")[2]
    if workload == own:
        return _outgoing(own, method, served)
    return (GATEWAY, own, method) if workload == GATEWAY else None


def _called(route: str) -> str:
    """Return the method that a route of the gateway calls, or the name of another route."""
    name, _, number = route.removeprefix(_HEAD).rpartition(".")
    service, _, method = name.rpartition(".")
    return f"/{service}/{method}" if number.isdigit() and service else route


def _outgoing(own: str, method: str, served: Mapping[str, str]) -> _Named | None:
    if method.startswith(PARTNER):
        return own, method.removeprefix(PARTNER), ""
    if method.startswith(SERVICE):
        return own, method.removeprefix(SERVICE), "other"
    callee = served.get(method)
    return (own, callee, method) if callee else None


def workload_of(mesh: model.Mesh, node: str) -> str | None:
    """Return the workload of a proxy, also of one that has stopped."""
    return _workload(_workloads(mesh), node)


def _workloads(mesh: model.Mesh) -> frozenset[str]:
    return frozenset({*(each.workload.name for each in mesh.sidecars), mesh.edge.workload.name})


def _workload(names: frozenset[str], node: str) -> str | None:
    """Return the workload of a proxy such as customers-1, also if this instance has stopped."""
    name = node.rpartition("-")[0]
    return name if name in names else None


def _pair(workloads: frozenset[str], node: str, cluster: str) -> tuple[str, str] | None:
    """Return the caller and the callee of a proxy's cluster, such as "service/customers/v2"."""
    own = _workload(workloads, node)
    if own is None:
        return None
    if cluster.startswith(PARTNER):
        return own, cluster.removeprefix(PARTNER)
    return own, cluster.removeprefix(SERVICE).partition("/")[0]


def _retries(view: View, mesh: model.Mesh) -> Counter[tuple[str, str]]:
    workloads, found = _workloads(mesh), Counter[tuple[str, str]]()
    for (node, cluster), number in view.retries().items():
        if pair := _pair(workloads, node, cluster):
            found[pair] += number
    return found


def _breakers(view: View, mesh: model.Mesh) -> dict[tuple[str, str], str]:
    workloads, found = _workloads(mesh), dict[tuple[str, str], str]()
    for (node, cluster), state in view.clusters.items():
        pair = _pair(workloads, node, cluster)
        if pair is None:
            continue
        word = OPEN if state.ejected else FULL if state.full else CLOSED
        found[pair] = min(word, found.get(pair, CLOSED), key=(OPEN, FULL, CLOSED).index)
    return found
