"""Envoy clusters: the sidecar's own service, the services of the mesh, the partners."""

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
from envoy_data_plane.envoy.extensions.upstreams.http import v3 as upstream
from envoy_data_plane.envoy.type import v3 as types
from envoy_data_plane.google.protobuf import Any

from mesh.controlplane import model
from mesh.controlplane.translate.parts import SecretSource, packed, span, tcp, unix
from mesh.controlplane.translate.tls import mesh_socket, partner_socket

APP = "app"
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


def service_cluster_name(name: str) -> str:
    """Return the name of the cluster of a service of the mesh."""
    return f"service/{name}"


def partner_cluster_name(host: str) -> str:
    """Return the name of the cluster of a partner."""
    return f"partner/{host}"


def app_cluster(sidecar: model.Sidecar) -> cluster.Cluster:
    """Return the cluster of the sidecar's own service: its workers, each on its Unix socket."""
    requests = _APP_REQUESTS_MAX
    pool = model.Pool(_APP_CONNECT_MS, requests, requests, requests, requests)
    # An unreachable worker is ejected for a second; the last one is never ejected.
    gone = model.Breaker(0, _APP_FAILURES, _APP_EJECTED_MS, _APP_EJECTED_MS, 50)
    traffic = model.Traffic(None, None, gone, pool, least_request=False)
    return _cluster(APP, [unix(path) for path in sidecar.app_sockets], traffic, _http2())


def service_cluster(
    workload: model.Workload, target: model.ServiceTarget, source: SecretSource
) -> cluster.Cluster:
    """Return the cluster of a service of the mesh, which is reached by mTLS to its sidecar."""
    name = service_cluster_name(target.name)
    built = _cluster(name, [tcp(target.place)], target.traffic, _http2())
    built.transport_socket = mesh_socket(workload, target, source)
    return built


def partner_cluster(partner: model.Partner, source: SecretSource) -> cluster.Cluster:
    """Return the cluster of a partner: TLS, with HTTP/2 if the partner offers it by ALPN."""
    name = partner_cluster_name(partner.host)
    built = _cluster(name, [tcp(partner.place)], partner.traffic, _negotiated())
    built.transport_socket = partner_socket(partner, source)
    return built


def _cluster(
    name: str, addresses: list[core.Address], traffic: model.Traffic, options: Any
) -> cluster.Cluster:
    policy = cluster.ClusterLbPolicy
    return cluster.Cluster(
        name=name,
        type=cluster.ClusterDiscoveryType.STATIC,
        connect_timeout=span(traffic.pool.connect_timeout_ms),
        per_connection_buffer_limit_bytes=_BUFFER_BYTES,
        lb_policy=policy.LEAST_REQUEST if traffic.least_request else policy.ROUND_ROBIN,
        load_assignment=endpoint.ClusterLoadAssignment(
            cluster_name=name,
            endpoints=[endpoint.LocalityLbEndpoints(lb_endpoints=[_host(a) for a in addresses])],
        ),
        circuit_breakers=_thresholds(traffic.pool),
        outlier_detection=_outliers(traffic.breaker),
        # In panic mode Envoy sends to ejected addresses, but an open breaker must answer at once.
        common_lb_config=cluster.ClusterCommonLbConfig(
            healthy_panic_threshold=types.Percent(value=0.0)
        ),
        typed_extension_protocol_options={_HTTP_OPTIONS: options},
    )


def _host(address: core.Address) -> endpoint.LbEndpoint:
    return endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=address))


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


def _http2() -> Any:
    return packed(
        upstream.HttpProtocolOptions(
            common_http_protocol_options=core.HttpProtocolOptions(idle_timeout=span(_IDLE_MS)),
            explicit_http_config=upstream.HttpProtocolOptionsExplicitHttpConfig(
                http2_protocol_options=_http2_options()
            ),
        )
    )


def _negotiated() -> Any:
    return packed(
        upstream.HttpProtocolOptions(
            common_http_protocol_options=core.HttpProtocolOptions(idle_timeout=span(_IDLE_MS)),
            auto_config=upstream.HttpProtocolOptionsAutoHttpConfig(
                http_protocol_options=core.Http1ProtocolOptions(),
                http2_protocol_options=_http2_options(),
            ),
        )
    )


def _http2_options() -> core.Http2ProtocolOptions:
    return core.Http2ProtocolOptions(
        initial_stream_window_size=_BUFFER_BYTES,
        initial_connection_window_size=_WINDOW_BYTES,
        connection_keepalive=core.KeepaliveSettings(
            interval=span(_KEEPALIVE_MS), timeout=span(_KEEPALIVE_TIMEOUT_MS)
        ),
    )
