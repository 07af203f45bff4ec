"""The first filter that looks at the caller: Lua code prepares the headers that identify it."""

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.lua import v3 as lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm

from gateway import caller
from mesh.controlplane import model
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.http import http_filter


def caller_filter(edge: model.Edge) -> hcm.HttpFilter:
    """Return the Lua filter; its code comes from gateway/caller.py."""
    partners = {uri: name for name, uris in edge.partner_principals for uri in uris}
    code = core.DataSource(inline_string=caller.source(partners))
    # No route depends on a header that the code changes, so the route stays as it is.
    return http_filter(names.CALLER, lua.Lua(default_source_code=code, clear_route_cache=False))
