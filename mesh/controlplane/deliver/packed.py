"""Resources as proxies get them: packed bytes with a version, and all resources of one node.

A resource is packed once; all nodes whose resource has the same bytes share it. Its version is a
digest of the bytes, so the same configuration has the same version everywhere, also after a restart
of the control plane.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

_TYPES = "type.googleapis.com/envoy."


class Kind(Enum):
    """The kinds of resources that are delivered; the value is the type URL."""

    SECRET = f"{_TYPES}extensions.transport_sockets.tls.v3.Secret"
    CLUSTER = f"{_TYPES}config.cluster.v3.Cluster"
    ENDPOINTS = f"{_TYPES}config.endpoint.v3.ClusterLoadAssignment"
    LISTENER = f"{_TYPES}config.listener.v3.Listener"
    ROUTES = f"{_TYPES}config.route.v3.RouteConfiguration"
    EXTENSION = f"{_TYPES}config.core.v3.TypedExtensionConfig"

    # Members are singletons. Enum's own hash is slow, and a node has hundreds of references.
    __hash__ = object.__hash__


Reference = tuple[Kind, str]
"""A resource by its kind and name."""


@dataclass(frozen=True, slots=True)
class Packed:
    """One resource. `uses` has the resources that it names, such as a listener's routes."""

    kind: Kind
    name: str
    body: bytes
    version: str
    uses: frozenset[Reference]


@dataclass(frozen=True, slots=True)
class NodeSnapshot:
    """All resources of one node, consistent: every resource that one of them uses is among them."""

    node: str
    version: str
    resources: Mapping[Kind, Mapping[str, Packed]]


def pack(kind: Kind, name: str, body: bytes, uses: Iterable[Reference] = ()) -> Packed:
    """Return the resource with its version."""
    return Packed(kind, name, body, hashlib.sha256(body).hexdigest()[:16], frozenset(uses))


def snapshot(node: str, resources: Iterable[Packed]) -> NodeSnapshot:
    """Return the snapshot of a node; its version is a digest of the versions of its resources."""
    found: dict[Kind, dict[str, Packed]] = {kind: {} for kind in Kind}
    digest = hashlib.sha256()
    for each in sorted(resources, key=lambda one: (one.kind.value, one.name)):
        found[each.kind][each.name] = each
        digest.update(f"{each.kind.value}\0{each.name}\0{each.version}\0".encode())
    kinds = {kind: MappingProxyType(named) for kind, named in found.items()}
    return NodeSnapshot(node, digest.hexdigest()[:16], MappingProxyType(kinds))
