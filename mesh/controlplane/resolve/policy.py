"""The traffic policy in a DestinationRule: connections, circuit breaker, load balancing, subsets.

A value that a rule leaves out gets its default here, so that nothing is unlimited.
"""

from mesh.controlplane import model
from mesh.controlplane.ingest import shapes
from mesh.controlplane.ingest.values import RetryCondition, milliseconds

_CAUSES: dict[RetryCondition, model.RetryCause] = {
    "5xx": model.RetryCause.SERVER_ERROR,
    "gateway-error": model.RetryCause.GATEWAY_ERROR,
    "retriable-4xx": model.RetryCause.CONFLICT,
    "envoy-ratelimited": model.RetryCause.RATE_LIMITED,
    "reset": model.RetryCause.RESET,
    "reset-before-request": model.RetryCause.RESET_BEFORE_REQUEST,
    "connect-failure": model.RetryCause.CONNECT_FAILURE,
    "refused-stream": model.RetryCause.STREAM_REFUSED,
    "cancelled": model.RetryCause.GRPC_CANCELLED,
    "deadline-exceeded": model.RetryCause.GRPC_DEADLINE_EXCEEDED,
    "internal": model.RetryCause.GRPC_INTERNAL,
    "resource-exhausted": model.RetryCause.GRPC_RESOURCE_EXHAUSTED,
    "unavailable": model.RetryCause.GRPC_UNAVAILABLE,
}
_RETRY_ON = (model.RetryCause.CONNECT_FAILURE, model.RetryCause.STREAM_REFUSED)
_BACKOFF_MS = 25
_CONNECT_MS = 1000
_CONNECTIONS_MAX = 256
_REQUESTS_MAX = 1024
_RETRIES_MAX = 32
NO_TRAFFIC = model.Traffic(
    None, None, None, model.Pool(_CONNECT_MS, _CONNECTIONS_MAX, _REQUESTS_MAX, _REQUESTS_MAX, 1)
)
"""Stands in for the traffic policy of a service until its rules are read."""


def retry(retries: shapes.Retries, *, hashed: bool) -> model.Retry | None:
    """Return how a call is retried, or None if it is not.

    As in Istio, a retry goes to another instance, unless the instance is chosen by a hash.
    """
    if retries.attempts == 0:
        return None
    per_try, on = retries.per_try_timeout, retries.retry_on
    ignored = retries.retry_ignore_previous_hosts
    return model.Retry(
        attempts=retries.attempts,
        on=_RETRY_ON if on is None else tuple(_CAUSES[each] for each in on),
        per_try_timeout_ms=None if per_try is None else milliseconds(per_try),
        backoff_ms=_BACKOFF_MS if retries.backoff is None else milliseconds(retries.backoff),
        previous_hosts=hashed if ignored is None else not ignored,
    )


def traffic(
    policy: shapes.TrafficPolicy | shapes.SubsetPolicy,
    last: model.Route,
    *,
    retried: bool,
    base: model.Traffic | None = None,
) -> model.Traffic:
    """Return the traffic policy of a host, or of a subset whose host has the policy `base`.

    `last` is the route that applies to every request; `retried` says whether any route retries.
    """
    found, pool = policy.load_balancer, policy.connection_pool
    chosen = balancer(found) if found or base is None else base.balancer
    return model.Traffic(
        timeout_ms=last.timeout_ms,
        retry=last.retry,
        breaker=breaker(policy.outlier_detection) or (base.breaker if base else None),
        pool=base.pool
        if base and pool is None
        else _pool(pool or shapes.ConnectionPool(), retried=retried),
        least_request=chosen.sort is model.Balancing.LEAST_REQUEST,
        balancer=chosen,
    )


def balancer(found: shapes.LoadBalancer | None) -> model.Balancer:
    """Return the load balancing; ROUND_ROBIN for a host that names none."""
    if found is None:
        return model.Balancer()
    hashed = found.consistent_hash
    if hashed is None:
        return model.Balancer(model.Balancing[found.simple or "ROUND_ROBIN"])
    made = model.Balancer(model.Balancing.HASH, hashed.http_header_name)
    ring = hashed.ring_hash
    if ring is None:
        return made
    return model.Balancer(made.sort, made.hash_header, ring.minimum_ring_size)


def breaker(detection: shapes.OutlierDetection | None) -> model.Breaker | None:
    """Return the circuit breaker, if there is one."""
    if detection is None:
        return None
    split = detection.split_external_local_origin_errors
    return model.Breaker(
        failures=detection.consecutive_5xx_errors,
        reach_failures=detection.consecutive_local_origin_failures if split else None,
        open_ms=milliseconds(detection.base_ejection_time),
        interval_ms=milliseconds(detection.interval),
        ejected_percent_max=detection.max_ejection_percent,
    )


def _pool(pool: shapes.ConnectionPool, *, retried: bool) -> model.Pool:
    # Without retries nothing reads maxRetries, so the check reports that it has no effect.
    tcp, http = pool.tcp or shapes.TcpPool(), pool.http or shapes.HttpPool()
    connect, idle = tcp.connect_timeout, http.idle_timeout
    return model.Pool(
        connect_timeout_ms=_CONNECT_MS if connect is None else milliseconds(connect),
        connections_max=tcp.max_connections or _CONNECTIONS_MAX,
        pending_max=http.http1_max_pending_requests or _REQUESTS_MAX,
        requests_max=http.http2_max_requests or _REQUESTS_MAX,
        retries_max=(http.max_retries if retried else None) or _RETRIES_MAX,
        idle_timeout_ms=None if idle is None else milliseconds(idle),
        requests_per_connection_max=http.max_requests_per_connection,
        streams_per_connection_max=http.max_concurrent_streams,
    )
