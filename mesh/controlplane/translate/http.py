"""Parts that every HTTP connection manager here needs: access log, router, retries."""

from pathlib import Path

import betterproto2
from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.access_loggers.filters.cel import v3 as cel
from envoy_data_plane.envoy.extensions.access_loggers.stream import v3 as stream
from envoy_data_plane.envoy.extensions.filters.http.router import v3 as router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate.parts import packed, span, struct, unix

BUFFER_BYTES = 65536
_BACKOFF_GROWTH = 10
_RETRY_ON = {
    model.RetryCause.SERVER_ERROR: "5xx",
    model.RetryCause.GATEWAY_ERROR: "gateway-error",
    model.RetryCause.CONFLICT: "retriable-4xx",
    model.RetryCause.RATE_LIMITED: "envoy-ratelimited",
    model.RetryCause.RESET: "reset",
    model.RetryCause.RESET_BEFORE_REQUEST: "reset-before-request",
    model.RetryCause.CONNECT_FAILURE: "connect-failure",
    model.RetryCause.STREAM_REFUSED: "refused-stream",
    model.RetryCause.GRPC_CANCELLED: "cancelled",
    model.RetryCause.GRPC_DEADLINE_EXCEEDED: "deadline-exceeded",
    model.RetryCause.GRPC_INTERNAL: "internal",
    model.RetryCause.GRPC_RESOURCE_EXHAUSTED: "resource-exhausted",
    model.RetryCause.GRPC_UNAVAILABLE: "unavailable",
}
_FIELDS = {
    "@timestamp": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "http.method": "%REQ(:METHOD)%",
    # Without the query, because it may contain text that a customer typed.
    "url.path": "%PATH(NQ)%",
    "http.status": "%RESPONSE_CODE%",
    "grpc.status": "%GRPC_STATUS%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
    "upstream.cluster": "%UPSTREAM_CLUSTER%",
    "upstream.failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "peer.identity": "%DOWNSTREAM_PEER_URI_SAN%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
}


def http_filter(name: str, config: betterproto2.Message) -> hcm.HttpFilter:
    """Return an HTTP filter."""
    return hcm.HttpFilter(name=name, typed_config=packed(config))


def router_filter() -> hcm.HttpFilter:
    """Return the last filter of every chain; it adds no Envoy headers."""
    return http_filter("envoy.filters.http.router", router.Router(suppress_envoy_headers=True))


def cel_filter(expression: str) -> accesslog.AccessLogFilter:
    """Return a log filter that evaluates a CEL expression over the request and its response."""
    return accesslog.AccessLogFilter(
        extension_filter=accesslog.ExtensionFilter(
            name="envoy.access_loggers.extension_filters.cel",
            typed_config=packed(cel.ExpressionFilter(expression=expression)),
        )
    )


def access_log(workload: model.Workload, passed_on: PassedOn) -> accesslog.AccessLog:
    """Return the access log: JSON lines without personal data, for requests that SREs select."""
    fields = {**_FIELDS, "proxy": workload.name}
    return accesslog.AccessLog(
        name="envoy.access_loggers.stdout",
        filter=cel_filter(passed_on.log_filter),
        typed_config=packed(
            stream.StdoutAccessLog(
                log_format=core.SubstitutionFormatString(json_format=struct(fields))
            )
        ),
    )


def log_listener(expression: str) -> listener.Listener:
    """Return a listener that only logs, so that Envoy can validate an expression on its own."""
    log = accesslog.AccessLog(
        name="envoy.access_loggers.stdout",
        filter=cel_filter(expression),
        typed_config=packed(stream.StdoutAccessLog()),
    )
    manager = hcm.HttpConnectionManager(
        stat_prefix="log",
        access_log=[log],
        route_config=route.RouteConfiguration(name="log"),
        http_filters=[router_filter()],
    )
    return listener.Listener(
        name="log",
        address=unix(Path("/run/log.sock")),
        filter_chains=[listener.FilterChain(filters=[network_filter(manager)])],
    )


def network_filter(manager: hcm.HttpConnectionManager) -> listener.Filter:
    """Return a connection manager wrapped as a listener's network filter."""
    return listener.Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=packed(manager)
    )


def retry_policy(retry: model.Retry | None) -> route.RetryPolicy | None:
    """Return Envoy's retry policy: the wait grows exponentially with jitter."""
    if retry is None:
        return None
    per_try = retry.per_try_timeout_ms
    return route.RetryPolicy(
        retry_on=",".join(_RETRY_ON[cause] for cause in retry.on),
        num_retries=retry.attempts,
        per_try_timeout=None if per_try is None else span(per_try),
        retry_back_off=route.RetryPolicyRetryBackOff(
            base_interval=span(retry.backoff_ms),
            max_interval=span(retry.backoff_ms * _BACKOFF_GROWTH),
        ),
    )
