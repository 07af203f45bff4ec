"""The order of kinds: which may name which, and what waits for what. Pure tables and functions.

On the way in a kind is sent after the kinds that it names. A secret or an endpoint never waits,
because Envoy acknowledges a cluster only when the cluster has them. On removal the order is
reversed: a resource is removed when nothing names it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed, Reference

Resources = Mapping[Kind, Mapping[str, Packed]]
"""Resources by kind and name."""

INWARD = (
    Kind.SECRET,
    Kind.CLUSTER,
    Kind.ENDPOINTS,
    Kind.LISTENER,
    Kind.ROUTES,
    Kind.EXTENSION,
)
"""The order in which kinds are sent."""
WILDCARD = frozenset({Kind.CLUSTER, Kind.LISTENER})
"""The kinds of which a client gets everything if its first request names nothing."""
USERS: Mapping[Kind, tuple[Kind, ...]] = {
    Kind.SECRET: (Kind.CLUSTER, Kind.LISTENER, Kind.EXTENSION),
    Kind.CLUSTER: (Kind.CLUSTER, Kind.LISTENER, Kind.ROUTES, Kind.EXTENSION),
    Kind.ENDPOINTS: (Kind.CLUSTER,),
    Kind.LISTENER: (),
    Kind.ROUTES: (Kind.LISTENER,),
    Kind.EXTENSION: (Kind.LISTENER,),
}
"""The kinds that may name a kind."""
WAITS = frozenset({Kind.LISTENER, Kind.ROUTES, Kind.EXTENSION})
"""The kinds that wait until the clusters that they name are acknowledged."""
_REMEMBERED_MAX = 256


def unknown(kind: Kind, name: str, version: str) -> Packed:
    """Return what stands for a resource that a node holds and whose bytes are not known."""
    return Packed(kind, name, b"", version, frozenset())


def is_unknown(packed: Packed) -> bool:
    """Return whether the bytes are not known: it may name anything, and cannot be sent."""
    return not packed.body


def clusters_of(resource: Packed, target: Resources) -> set[str]:
    """Return the clusters that a resource names, itself or through its routes and extensions."""
    found: set[str] = set()
    for kind, name in resource.uses:
        if kind is Kind.CLUSTER:
            found.add(name)
        elif kind in WAITS and (inner := target[kind].get(name)) is not None:
            found.update(other for one, other in inner.uses if one is Kind.CLUSTER)
    return found


def uses_of(resources: Iterable[Packed], kind: Kind) -> set[str]:
    """Return the names of one kind that the resources use."""
    return {name for each in resources for used, name in each.uses if used is kind}


@dataclass(frozen=True)
class _ByVersion:
    version: str
    resources: Resources = field(compare=False)


def required(snapshot: NodeSnapshot) -> Mapping[Kind, frozenset[str]]:
    """Return the names that a node must have acknowledged when it has the whole snapshot.

    These are all clusters and listeners, and whatever a resource names. Nodes with equal resources
    share the answer.
    """
    return _required(_ByVersion(snapshot.version, snapshot.resources))


@lru_cache(maxsize=_REMEMBERED_MAX)
def _required(key: _ByVersion) -> Mapping[Kind, frozenset[str]]:
    used: set[Reference] = {
        reference
        for named in key.resources.values()
        for each in named.values()
        for reference in each.uses
    }
    return {
        kind: frozenset(name for name in named if kind in WILDCARD or (kind, name) in used)
        for kind, named in key.resources.items()
    }
