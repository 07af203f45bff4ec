"""The bootstrap of a proxy: its name, its admin socket and the sources of its resources."""

from pathlib import Path

from envoy_data_plane.envoy.config.bootstrap import v3 as bootstrap
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.overload import v3 as overload
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections import (
    v3 as connections,
)
from envoy_data_plane.envoy.extensions.resource_monitors.fixed_heap import v3 as heap

from mesh.controlplane import model
from mesh.controlplane.translate.clusters import CONTROL_PLANE, control_plane_cluster
from mesh.controlplane.translate.parts import by_stream, packed, span, unix

_ADMIN_MODE = 0o600
_RECONNECT_MS, _RECONNECT_MS_MAX = 100, 5_000
"""The back-off of a proxy without its stream: a random wait that grows from the first to the
second."""
_HEAP = "envoy.resource_monitors.fixed_heap"
_STOP_AT, _SHRINK_AT = 1.0, 0.9
"""The shares of the largest heap at which requests are refused, and free pages returned."""


def node_id(workload: model.Workload) -> str:
    """Return the name by which the control plane knows a proxy."""
    return workload.node


def bootstrap_of(
    workload: model.Workload,
    listeners: core.ConfigSource,
    clusters: core.ConfigSource,
) -> bootstrap.Bootstrap:
    """Return a bootstrap whose listeners and clusters come from the two sources."""
    return _bootstrap(
        workload,
        bootstrap.BootstrapDynamicResources(lds_config=listeners, cds_config=clusters),
    )


def bootstrap_by_stream(workload: model.Workload, socket: Path) -> bootstrap.Bootstrap:
    """Return a bootstrap of a proxy that gets everything by one stream.

    `socket` is the control plane's Unix socket for this proxy alone, so it is the identity.
    """
    made = _bootstrap(
        workload,
        bootstrap.BootstrapDynamicResources(
            lds_config=by_stream(), cds_config=by_stream(), ads_config=_stream()
        ),
    )
    made.static_resources = bootstrap.BootstrapStaticResources(
        clusters=[control_plane_cluster(socket)]
    )
    return made


def validation_bootstrap() -> bootstrap.Bootstrap:
    """Return a bootstrap with which Envoy validates resources that name others by the stream."""
    return bootstrap.Bootstrap(
        node=core.Node(id="validation", cluster="validation"),
        dynamic_resources=bootstrap.BootstrapDynamicResources(ads_config=_stream()),
        static_resources=bootstrap.BootstrapStaticResources(
            clusters=[control_plane_cluster(Path("/run/ads.sock"))]
        ),
    )


def _bootstrap(
    workload: model.Workload, resources: bootstrap.BootstrapDynamicResources
) -> bootstrap.Bootstrap:
    return bootstrap.Bootstrap(
        node=core.Node(id=node_id(workload), cluster=workload.name),
        admin=bootstrap.Admin(address=unix(workload.admin_socket, mode=_ADMIN_MODE)),
        dynamic_resources=resources,
        overload_manager=overload_manager(workload),
    )


def _stream() -> core.ApiConfigSource:
    """Return the stream. Proxies that lost it come back after different times."""
    back_off = core.BackoffStrategy(
        base_interval=span(_RECONNECT_MS), max_interval=span(_RECONNECT_MS_MAX)
    )
    service = core.GrpcServiceEnvoyGrpc(
        cluster_name=CONTROL_PLANE, retry_policy=core.RetryPolicy(retry_back_off=back_off)
    )
    return core.ApiConfigSource(
        api_type=core.ApiConfigSourceApiType.DELTA_GRPC,
        transport_api_version=core.ApiVersion.V3,
        set_node_on_first_message_only=True,
        grpc_services=[core.GrpcService(envoy_grpc=service)],
    )


def overload_manager(workload: model.Workload) -> overload.OverloadManager:
    """Return the limits of connections and memory."""
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
