"""What the gateway's filters read from a route, merged into the routes of edge.yaml by their names.

A route's token requirement, its largest body, its bucket and the texts of its errors have no field
in a VirtualService. Access and CORS have, so edge.yaml contains them.
"""

from collections.abc import Iterator

from mesh.controlplane import model
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.edge.routes import route_configuration
from mesh.controlplane.translate.http import FAULT
from mesh.istio.kinds import Kind
from mesh.istio.patches import Value, envoy_filter, patch, plain
from services.contracts import GATEWAY

_CONTEXT = "GATEWAY"
_CONFIG = "typed_per_filter_config"
_BY_KINDS = {names.RBAC, names.CORS, FAULT}
"""Filters whose settings come from Istio's own kinds."""
_TUNNEL = "tunnel"
"""A VirtualService cannot match CONNECT, so this route is inserted."""
_RBAC_OFF = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute"
"""Settings without rules: a refusal needs no permission, and says more than a 403."""
_HEAD = "HEAD "
"""In edge.yaml one route is for GET and HEAD."""


def filters(edge: model.Edge) -> Iterator[Kind]:
    """Yield the EnvoyFilter with the settings of all routes."""
    (host,) = plain(route_configuration(edge))["virtual_hosts"]
    routes = {each["name"]: each for each in reversed(host["routes"])}
    tunnel = routes[_TUNNEL]
    refused = _settings(tunnel)
    refused[_CONFIG] = {**refused[_CONFIG], names.RBAC: {"@type": _RBAC_OFF}}
    patches = [
        patch("HTTP_ROUTE", _CONTEXT, {}, "INSERT_FIRST", {**tunnel, **refused}),
        patch("HTTP_ROUTE", _CONTEXT, _at(action="DIRECT_RESPONSE"), "MERGE", refused),
        *(
            patch("HTTP_ROUTE", _CONTEXT, _at(name=name), "MERGE", _settings(routes[name]))
            for name in sorted(routes)
            if "direct_response" not in routes[name] and not name.startswith(_HEAD)
        ),
    ]
    yield envoy_filter("edge-routes", GATEWAY, patches)


def _at(**route: str) -> Value:
    return {"routeConfiguration": {"vhost": {"route": route}}}


def _settings(route: Value) -> Value:
    config = {key: one for key, one in route[_CONFIG].items() if key not in _BY_KINDS}
    metadata = route.get("metadata")
    return {**({"metadata": metadata} if metadata else {}), **({_CONFIG: config} if config else {})}
