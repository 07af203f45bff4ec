"""Bootstraps with which Envoy validates packed resources on their own, without the rest of a proxy.

What a resource names is not needed: Envoy would ask for it by the stream, and it may check routes
without their clusters.
"""

from collections.abc import Iterable
from pathlib import Path

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.google.protobuf import Any as AnyMessage
from envoy_data_plane.message_pool import default_message_pool

from mesh.controlplane.deliver.packed import Kind, Packed
from mesh.controlplane.deliver.wire import nested
from mesh.controlplane.translate.bootstrap import validation_bootstrap
from mesh.controlplane.translate.http import router_filter
from mesh.controlplane.translate.parts import unix

_STATIC_RESOURCES, _LISTENERS, _CLUSTERS = 2, 1, 2
_NAME = 1
_ROUTE_CONFIG = 4
_LOAD_ASSIGNMENT = 33
_MANAGER = default_message_pool.type_to_url[hcm.HttpConnectionManager]
_LENIENT = bytes(route.RouteConfiguration(validate_clusters=False))


def bootstrap_with(resources: Iterable[Packed]) -> bytes:
    """Return a packed bootstrap that contains the resources. Secrets are left out."""
    parts = [_part(number, each) for number, each in enumerate(resources)]
    return bytes(validation_bootstrap()) + nested(_STATIC_RESOURCES, b"".join(parts))


def _part(number: int, each: Packed) -> bytes:
    match each.kind:
        case Kind.SECRET:
            return b""
        case Kind.CLUSTER:
            return nested(_CLUSTERS, each.body + _renamed(number))
        case Kind.ENDPOINTS:
            return nested(_CLUSTERS, _cluster(number) + nested(_LOAD_ASSIGNMENT, each.body))
        case Kind.LISTENER:
            return nested(_LISTENERS, each.body + _renamed(number))
        case Kind.ROUTES:
            whole = bytes(_manager([])) + nested(_ROUTE_CONFIG, each.body + _LENIENT)
            return nested(_LISTENERS, _listener(number, whole))
        case Kind.EXTENSION:
            return nested(_LISTENERS, _listener(number, _with_filter(each)))


def _renamed(number: int) -> bytes:
    """Return a name that no other resource has: those of several nodes are validated together."""
    return nested(_NAME, f"probe-{number}".encode())


def _cluster(number: int) -> bytes:
    kind = cluster.ClusterDiscoveryType.STATIC
    return bytes(cluster.Cluster(name=f"probe-{number}", type=kind))


def _with_filter(each: Packed) -> bytes:
    found = core.TypedExtensionConfig.parse(each.body)
    manager = _manager([hcm.HttpFilter(name=found.name, typed_config=found.typed_config)])
    return bytes(manager) + nested(_ROUTE_CONFIG, _LENIENT)


def _manager(filters: list[hcm.HttpFilter]) -> hcm.HttpConnectionManager:
    return hcm.HttpConnectionManager(stat_prefix="probe", http_filters=[*filters, router_filter()])


def _listener(number: int, manager: bytes) -> bytes:
    name = "envoy.filters.network.http_connection_manager"
    filtered = listener.Filter(name=name, typed_config=AnyMessage(type_url=_MANAGER, value=manager))
    return bytes(
        listener.Listener(
            name=f"probe-{number}",
            address=unix(Path(f"/run/probe-{number}.sock")),
            filter_chains=[listener.FilterChain(filters=[filtered])],
        )
    )
