"""Parts that every HTTP connection manager here needs: access log, router, retries."""

from collections.abc import Callable
from pathlib import Path

import betterproto2
from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.config.route import v3 as route
from envoy_data_plane.envoy.extensions.access_loggers.filters.cel import v3 as cel
from envoy_data_plane.envoy.extensions.access_loggers.stream import v3 as stream
from envoy_data_plane.envoy.extensions.filters.http.fault import v3 as fault
from envoy_data_plane.envoy.extensions.filters.http.router import v3 as router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts import v3 as previous_hosts
from envoy_data_plane.message_pool import default_message_pool

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate.parts import (
    Sources,
    packed,
    required_by_stream,
    span,
    struct,
    unix,
)

BUFFER_BYTES = 65536
FAULT = "envoy.filters.http.fault"
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
_OTHER_HOST = route.RetryPolicyRetryHostPredicate(
    name="envoy.retry_host_predicates.previous_hosts",
    typed_config=packed(previous_hosts.PreviousHostsPredicate()),
)
_OTHER_HOST_TRIES = 5
"""How often Envoy draws again after it drew an address that has failed; the number is Istio's."""
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


def fault_filter() -> hcm.HttpFilter:
    """Return the filter that injects faults; a route says which, and without it there are none."""
    return http_filter(FAULT, fault.HttpFault())


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
        filter=cel_filter(passed_on.log_filter_of(workload.name)),
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


def set_routes(
    manager: hcm.HttpConnectionManager,
    name: str,
    made: Callable[[], route.RouteConfiguration],
    sources: Sources,
) -> None:
    """Give a connection manager its routes: inside it, or by their name."""
    if sources.streamed:
        manager.rds = hcm.Rds(config_source=required_by_stream(), route_config_name=name)
    else:
        manager.route_config = made()
        # As by stream: a route whose cluster is not there must not refuse the whole listener.
        manager.route_config.validate_clusters = False


def discovered(name: str, settings: type[betterproto2.Message]) -> hcm.HttpFilter:
    """Return a filter whose settings are an extension with the filter's name."""
    url = default_message_pool.type_to_url[settings]
    return hcm.HttpFilter(
        name=name,
        config_discovery=core.ExtensionConfigSource(
            config_source=required_by_stream(), type_urls=[url]
        ),
    )


def extension(whole: hcm.HttpFilter) -> core.TypedExtensionConfig:
    """Return the settings of a filter as the extension to which `discovered` refers."""
    return core.TypedExtensionConfig(name=whole.name, typed_config=whole.typed_config)


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
    made = route.RetryPolicy(
        retry_on=",".join(_RETRY_ON[cause] for cause in retry.on),
        num_retries=retry.attempts,
        per_try_timeout=None if per_try is None else span(per_try),
        retry_back_off=route.RetryPolicyRetryBackOff(
            base_interval=span(retry.backoff_ms),
            max_interval=span(retry.backoff_ms * _BACKOFF_GROWTH),
        ),
    )
    if not retry.previous_hosts:
        made.retry_host_predicate = [_OTHER_HOST]
        made.host_selection_retry_max_attempts = _OTHER_HOST_TRIES
    return made
