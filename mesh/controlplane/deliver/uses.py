"""Finds on a message which other resources it names: clusters, secrets, endpoints, routes, filters.

A message inside an Any is read only if its type can name a resource (`_OPENED`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import betterproto2
from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.google.protobuf import Any as AnyMessage

from mesh.controlplane.deliver.packed import Kind, Reference

_OPENED = frozenset(
    f"type.googleapis.com/envoy.extensions.{name}"
    for name in (
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "filters.http.jwt_authn.v3.JwtAuthentication",
        "transport_sockets.tls.v3.UpstreamTlsContext",
        "transport_sockets.tls.v3.DownstreamTlsContext",
    )
)
_CLOSED = frozenset({route.RouteMatch, core.Metadata, core.HeaderValueOption, route.RetryPolicy})
"""Messages that name nothing. Routes have many of them, and reading them takes the longest."""
_Names = Iterator[Reference]


def uses(message: betterproto2.Message) -> frozenset[Reference]:
    """Return the resources that a message names."""
    return frozenset(_walk(message))


def _walk(value: Any) -> _Names:
    if isinstance(value, list):
        for each in value:
            yield from _walk(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _walk(each)
    elif isinstance(value, AnyMessage):
        if value.type_url in _OPENED:
            yield from _walk(value.unpack())
    elif isinstance(value, betterproto2.Message) and type(value) not in _CLOSED:
        if named := _NAMED.get(type(value)):
            yield from named(value)
        for each in vars(value).values():
            yield from _walk(each)


def _of_route(action: route.RouteAction) -> _Names:
    if action.cluster:
        yield Kind.CLUSTER, action.cluster


def _of_share(share: route.WeightedClusterClusterWeight) -> _Names:
    yield Kind.CLUSTER, share.name


def _of_mirror(mirror: route.RouteActionRequestMirrorPolicy) -> _Names:
    yield Kind.CLUSTER, mirror.cluster


def _of_uri(uri: core.HttpUri) -> _Names:
    yield Kind.CLUSTER, uri.cluster or ""


def _of_secret(secret: tls.SdsSecretConfig) -> _Names:
    yield Kind.SECRET, secret.name


def _of_routes(routes: hcm.Rds) -> _Names:
    yield Kind.ROUTES, routes.route_config_name


def _of_filter(one: hcm.HttpFilter) -> _Names:
    if one.config_discovery is not None:
        yield Kind.EXTENSION, one.name


def _of_cluster(one: cluster.Cluster) -> _Names:
    if one.eds_cluster_config is not None:
        yield Kind.ENDPOINTS, one.eds_cluster_config.service_name or one.name


_NAMED: dict[type[Any], Callable[[Any], _Names]] = {
    route.RouteAction: _of_route,
    route.WeightedClusterClusterWeight: _of_share,
    route.RouteActionRequestMirrorPolicy: _of_mirror,
    core.HttpUri: _of_uri,
    tls.SdsSecretConfig: _of_secret,
    hcm.Rds: _of_routes,
    hcm.HttpFilter: _of_filter,
    cluster.Cluster: _of_cluster,
}
