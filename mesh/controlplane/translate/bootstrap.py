"""The bootstrap of a proxy: its name, its admin socket and the sources of its resources."""

from envoy_data_plane.envoy.config.bootstrap import v3 as bootstrap
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.overload import v3 as overload
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections import (
    v3 as connections,
)
from envoy_data_plane.envoy.extensions.resource_monitors.fixed_heap import v3 as heap

from mesh.controlplane import model
from mesh.controlplane.translate.parts import packed, unix

_ADMIN_MODE = 0o600
_HEAP = "envoy.resource_monitors.fixed_heap"
_STOP_AT, _SHRINK_AT = 1.0, 0.9
"""The shares of the largest heap at which requests are refused, and free pages returned."""


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
        overload_manager=_overload_manager(workload),
    )


def _overload_manager(workload: model.Workload) -> overload.OverloadManager:
    manager = overload.OverloadManager(
        resource_monitors=[_connection_limit(workload.connections_max)]
    )
    if workload.heap_bytes_max is not None:
        manager.resource_monitors.append(_heap(workload.heap_bytes_max))
        manager.actions = [_at(_STOP_AT, "stop_accepting_requests"), _at(_SHRINK_AT, "shrink_heap")]
    return manager


def _heap(bytes_max: int) -> overload.ResourceMonitor:
    """Watch the allocated memory; without a limit, the kernel would end the proxy."""
    return overload.ResourceMonitor(
        name=_HEAP, typed_config=packed(heap.FixedHeapConfig(max_heap_size_bytes=bytes_max))
    )


def _at(share: float, action: str) -> overload.OverloadAction:
    trigger = overload.Trigger(name=_HEAP, threshold=overload.ThresholdTrigger(value=share))
    return overload.OverloadAction(name=f"envoy.overload_actions.{action}", triggers=[trigger])


def _connection_limit(connections_max: int) -> overload.ResourceMonitor:
    """Limit the connections; a flood of them would use all memory or all open files."""
    limit = connections.DownstreamConnectionsConfig(
        max_active_downstream_connections=connections_max
    )
    return overload.ResourceMonitor(
        name="envoy.resource_monitors.global_downstream_max_connections", typed_config=packed(limit)
    )
