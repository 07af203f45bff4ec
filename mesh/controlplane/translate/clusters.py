"""Envoy clusters: the sidecar's own service, the services of the mesh, the partners."""

from pathlib import Path

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
from envoy_data_plane.envoy.extensions.upstreams.http import v3 as upstream
from envoy_data_plane.envoy.type import v3 as types
from envoy_data_plane.google.protobuf import Any

from mesh.controlplane import model
from mesh.controlplane.translate.parts import (
    Sources,
    endpoints_by_stream,
    packed,
    span,
    tcp,
    unix,
)
from mesh.controlplane.translate.tls import OwnSecrets, mesh_socket, partner_socket

APP = "app"
CONTROL_PLANE = "control-plane"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_BUFFER_BYTES = 65536
_WINDOW_BYTES = 262144
_APP_CONNECT_MS = 1000
_APP_REQUESTS_MAX = 4096
_APP_FAILURES = 5
_APP_EJECTED_MS = 1000
_KEEPALIVE_MS = 30_000
_KEEPALIVE_TIMEOUT_MS = 5_000
_IDLE_MS = 300_000
_POLICIES = {
    model.Balancing.ROUND_ROBIN: cluster.ClusterLbPolicy.ROUND_ROBIN,
    model.Balancing.LEAST_REQUEST: cluster.ClusterLbPolicy.LEAST_REQUEST,
    model.Balancing.RANDOM: cluster.ClusterLbPolicy.RANDOM,
    model.Balancing.HASH: cluster.ClusterLbPolicy.RING_HASH,
}
_HEALTH = {
    model.InstanceState.READY: core.HealthStatus.HEALTHY,
    model.InstanceState.DRAINING: core.HealthStatus.DRAINING,
}


def service_cluster_name(name: str, subset: str | None = None) -> str:
    """Return the name of the cluster of a service of the mesh, or of some of its instances."""
    return f"service/{name}/{subset}" if subset else f"service/{name}"


def partner_cluster_name(host: str) -> str:
    """Return the name of the cluster of a partner."""
    return f"partner/{host}"


def app_cluster(sockets: tuple[Path, ...], sources: Sources) -> cluster.Cluster:
    """Return the cluster of the sidecar's own service: its workers, each on its Unix socket."""
    requests = _APP_REQUESTS_MAX
    pool = model.Pool(_APP_CONNECT_MS, requests, requests, requests, requests)
    # An unreachable worker is ejected for a second; the last one is never ejected.
    gone = model.Breaker(0, _APP_FAILURES, _APP_EJECTED_MS, _APP_EJECTED_MS, 50)
    traffic = model.Traffic(None, None, gone, pool)
    return _cluster(app_endpoints(sockets), traffic, _http2(pool), sources)


def control_plane_cluster(socket: Path) -> cluster.Cluster:
    """Return the cluster of the control plane, which is in the bootstrap."""
    keepalive = core.KeepaliveSettings(
        interval=span(_KEEPALIVE_MS), timeout=span(_KEEPALIVE_TIMEOUT_MS)
    )
    http2 = upstream.HttpProtocolOptionsExplicitHttpConfig(
        http2_protocol_options=core.Http2ProtocolOptions(connection_keepalive=keepalive)
    )
    options = packed(upstream.HttpProtocolOptions(explicit_http_config=http2))
    return cluster.Cluster(
        name=CONTROL_PLANE,
        type=cluster.ClusterDiscoveryType.STATIC,
        connect_timeout=span(_APP_CONNECT_MS),
        load_assignment=_assignment(CONTROL_PLANE, [unix(socket)]),
        typed_extension_protocol_options={_HTTP_OPTIONS: options},
    )


def app_endpoints(sockets: tuple[Path, ...]) -> endpoint.ClusterLoadAssignment:
    """Return the workers of the sidecar's own service."""
    return _assignment(APP, [unix(path) for path in sockets])


def service_clusters(
    target: model.ServiceTarget, own: OwnSecrets, sources: Sources
) -> list[cluster.Cluster]:
    """Return the clusters of a service, which is reached by mTLS to its sidecars.

    Each subset has a cluster of its own, with its own policy.
    """
    policies = [target.traffic, *(each.traffic for each in target.subsets)]
    built: list[cluster.Cluster] = []
    for known, traffic in zip(service_endpoints(target), policies, strict=True):
        one = _cluster(known, traffic, _http2(traffic.pool), sources)
        one.transport_socket = mesh_socket(target, own, sources.secret)
        built.append(one)
    return built


def service_endpoints(target: model.ServiceTarget) -> list[endpoint.ClusterLoadAssignment]:
    """Return the addresses of all instances of a service, then those of each subset."""
    every = target.instances or (model.Instance(target.place),)
    return [
        _instances(service_cluster_name(target.name), every),
        *(
            _instances(service_cluster_name(target.name, each.name), each.instances)
            for each in target.subsets
        ),
    ]


def partner_cluster(partner: model.Partner, sources: Sources) -> cluster.Cluster:
    """Return the cluster of a partner: TLS, with HTTP/2 if the partner offers it by ALPN."""
    built = _cluster(
        partner_endpoints(partner), partner.traffic, _negotiated(partner.traffic.pool), sources
    )
    built.transport_socket = partner_socket(partner, sources.secret)
    return built


def partner_endpoints(partner: model.Partner) -> endpoint.ClusterLoadAssignment:
    """Return the address of a partner."""
    return _assignment(partner_cluster_name(partner.host), [tcp(partner.place)])


def _cluster(
    known: endpoint.ClusterLoadAssignment, traffic: model.Traffic, options: Any, sources: Sources
) -> cluster.Cluster:
    kinds = cluster.ClusterDiscoveryType
    built = cluster.Cluster(
        name=known.cluster_name,
        type=kinds.EDS if sources.streamed else kinds.STATIC,
        connect_timeout=span(traffic.pool.connect_timeout_ms),
        per_connection_buffer_limit_bytes=_BUFFER_BYTES,
        lb_policy=_POLICIES[traffic.balancer.sort],
        circuit_breakers=_thresholds(traffic.pool),
        outlier_detection=_outliers(traffic.breaker),
        common_lb_config=cluster.ClusterCommonLbConfig(
            # In panic mode Envoy sends to ejected addresses, but an open breaker must answer at
            # once.
            healthy_panic_threshold=types.Percent(value=0.0),
            # By default Envoy collects changes of health for a second before it acts on them.
            update_merge_window=span(0),
        ),
        typed_extension_protocol_options={_HTTP_OPTIONS: options},
    )
    if traffic.balancer.sort is model.Balancing.HASH:
        built.ring_hash_lb_config = cluster.ClusterRingHashLbConfig(
            minimum_ring_size=traffic.balancer.ring_size_min
        )
    if sources.streamed:
        built.eds_cluster_config = cluster.ClusterEdsClusterConfig(eds_config=endpoints_by_stream())
    else:
        built.load_assignment = known
    return built


def _assignment(name: str, addresses: list[core.Address]) -> endpoint.ClusterLoadAssignment:
    return _known(name, [_host(each) for each in addresses])


def _instances(name: str, instances: tuple[model.Instance, ...]) -> endpoint.ClusterLoadAssignment:
    hosts = [_host(tcp(each.place), _HEALTH[each.state]) for each in instances]
    return _known(name, hosts)


def _known(name: str, hosts: list[endpoint.LbEndpoint]) -> endpoint.ClusterLoadAssignment:
    return endpoint.ClusterLoadAssignment(
        cluster_name=name, endpoints=[endpoint.LocalityLbEndpoints(lb_endpoints=hosts)]
    )


def _host(
    address: core.Address, health: core.HealthStatus = core.HealthStatus.UNKNOWN
) -> endpoint.LbEndpoint:
    return endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=address), health_status=health)


def _thresholds(pool: model.Pool) -> cluster.CircuitBreakers:
    return cluster.CircuitBreakers(
        thresholds=[
            cluster.CircuitBreakersThresholds(
                max_connections=pool.connections_max,
                max_pending_requests=pool.pending_max,
                max_requests=pool.requests_max,
                max_retries=pool.retries_max,
            )
        ]
    )


def _outliers(breaker: model.Breaker | None) -> cluster.OutlierDetection | None:
    if breaker is None:
        return None
    answers = cluster.OutlierDetection(
        consecutive_5xx=breaker.failures or None,
        enforcing_consecutive_5xx=100 if breaker.failures else 0,
        enforcing_consecutive_gateway_failure=0,
        enforcing_success_rate=0,
        interval=span(breaker.interval_ms),
        base_ejection_time=span(breaker.open_ms),
        # Envoy lengthens repeated ejections; the design document's table has one fixed time.
        max_ejection_time=span(breaker.open_ms),
        max_ejection_percent=breaker.ejected_percent_max,
    )
    if breaker.reach_failures is not None:
        answers.split_external_local_origin_errors = True
        answers.consecutive_local_origin_failure = breaker.reach_failures
        answers.enforcing_consecutive_local_origin_failure = 100
        answers.enforcing_local_origin_success_rate = 0
    return answers


def _http2(pool: model.Pool) -> Any:
    return packed(
        upstream.HttpProtocolOptions(
            common_http_protocol_options=_common_options(pool),
            explicit_http_config=upstream.HttpProtocolOptionsExplicitHttpConfig(
                http2_protocol_options=_http2_options(pool)
            ),
        )
    )


def _negotiated(pool: model.Pool) -> Any:
    return packed(
        upstream.HttpProtocolOptions(
            common_http_protocol_options=_common_options(pool),
            auto_config=upstream.HttpProtocolOptionsAutoHttpConfig(
                http_protocol_options=core.Http1ProtocolOptions(),
                http2_protocol_options=_http2_options(pool),
            ),
        )
    )


def _common_options(pool: model.Pool) -> core.HttpProtocolOptions:
    idle_ms = _IDLE_MS if pool.idle_timeout_ms is None else pool.idle_timeout_ms
    return core.HttpProtocolOptions(
        idle_timeout=span(idle_ms), max_requests_per_connection=pool.requests_per_connection_max
    )


def _http2_options(pool: model.Pool) -> core.Http2ProtocolOptions:
    return core.Http2ProtocolOptions(
        max_concurrent_streams=pool.streams_per_connection_max,
        initial_stream_window_size=_BUFFER_BYTES,
        initial_connection_window_size=_WINDOW_BYTES,
        connection_keepalive=core.KeepaliveSettings(
            interval=span(_KEEPALIVE_MS), timeout=span(_KEEPALIVE_TIMEOUT_MS)
        ),
    )
