"""The limits of the bodies of a request: their size, and the memory of those that still arrive."""

import math

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.lua import v3 as lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm

from gateway import open_bodies
from gateway.routes import GatewayRoute
from mesh.controlplane import model
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.http import http_filter
from services.contracts import Audience


def body_bytes_max(limits: model.EdgeLimits, each: GatewayRoute) -> int:
    """Return the largest body of a route."""
    return each.body_limit(limits.body_bytes, limits.public_body_bytes)


def open_bodies_filter(edge: model.Edge) -> hcm.HttpFilter:
    """Return the Lua filter; its code comes from gateway/open_bodies.py."""
    # A whole second more, because the code reads a clock of seconds.
    arrival_s = math.ceil(edge.limits.request_timeout_ms / 1000) + 1
    code = open_bodies.source(edge.open_small, edge.open_large, arrival_s)
    config = lua.Lua(
        default_source_code=core.DataSource(inline_string=code), clear_route_cache=False
    )
    return http_filter(names.OPEN_BODIES, config)


def open_body_metadata(limits: model.EdgeLimits, each: GatewayRoute) -> dict[str, object]:
    """Return what the filter reads: the largest body of a route, and the pool of a public one."""
    largest: dict[str, object] = {"body_bytes_max": body_bytes_max(limits, each)}
    if each.audience is not Audience.PUBLIC:
        return largest
    return largest | {"pool": "large" if each.accepts_large else "small"}
