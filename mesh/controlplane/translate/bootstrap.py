"""The bootstrap of a proxy: its name, its admin socket and the sources of its resources."""

from envoy_data_plane.envoy.config.bootstrap import v3 as bootstrap
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.overload import v3 as overload
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections import (
    v3 as connections,
)

from mesh.controlplane import model
from mesh.controlplane.translate.parts import packed, unix

_ADMIN_MODE = 0o600


def bootstrap_of(
    workload: model.Workload,
    listeners: core.ConfigSource,
    clusters: core.ConfigSource,
) -> bootstrap.Bootstrap:
    """Return a bootstrap whose listeners and clusters come from the two sources."""
    return bootstrap.Bootstrap(
        node=core.Node(id=f"{workload.name}-0", cluster=workload.name),
        admin=bootstrap.Admin(address=unix(workload.admin_socket, mode=_ADMIN_MODE)),
        dynamic_resources=bootstrap.BootstrapDynamicResources(
            lds_config=listeners, cds_config=clusters
        ),
        overload_manager=_connection_limit(workload.connections_max),
    )


def _connection_limit(connections_max: int) -> overload.OverloadManager:
    """Limit the connections; a flood of them would use all memory or all open files."""
    limit = connections.DownstreamConnectionsConfig(
        max_active_downstream_connections=connections_max
    )
    monitor = overload.ResourceMonitor(
        name="envoy.resource_monitors.global_downstream_max_connections", typed_config=packed(limit)
    )
    return overload.OverloadManager(resource_monitors=[monitor])
