"""Pools, circuit breaker, load balancing and TLS of a cluster, with Envoy's defaults filled in."""

from typing import Any

from lab.conformance.facts.names import secret
from lab.conformance.facts.proxy import milliseconds

Json = dict[str, Any]
_CONNECT_MS = 5_000
_IDLE_MS = 3_600_000
_POOL = {
    "max_connections": 1024,
    "max_pending_requests": 1024,
    "max_requests": 1024,
    "max_retries": 3,
}
_UNLIMITED = 2**32 - 1
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_PANIC_PERCENT = 50.0
_BALANCERS = {
    "envoy.load_balancing_policies.least_request": "LEAST_REQUEST",
    "envoy.load_balancing_policies.round_robin": "ROUND_ROBIN",
    "envoy.load_balancing_policies.random": "RANDOM",
    "envoy.load_balancing_policies.ring_hash": "RING_HASH",
}


def facts(cluster: Json, workload: str) -> Json:
    """Return the facts of a cluster."""
    thresholds = cluster.get("circuit_breakers", {}).get("thresholds", [{}])[0]
    pool = {name: thresholds.get(name, default) for name, default in _POOL.items()}
    panic = cluster.get("common_lb_config", {}).get("healthy_panic_threshold")
    return {
        "balancer": _balancer(cluster),
        "connect_timeout_ms": milliseconds(cluster.get("connect_timeout"), _CONNECT_MS),
        **{name: "unlimited" if n == _UNLIMITED else n for name, n in pool.items()},
        "breaker": breaker(cluster.get("outlier_detection")),
        "panic_percent": _PANIC_PERCENT if panic is None else panic.get("value", 0.0),
        "protocol": _protocol(cluster),
        "idle_ms": _idle(cluster),
        "tls": _upstream(cluster, workload),
    }


def breaker(outliers: Json | None) -> Json | None:
    """Return which failures eject an address, and for how long."""
    if outliers is None:
        return None
    split = outliers.get("split_external_local_origin_errors", False)
    base = milliseconds(outliers.get("base_ejection_time"), 30_000) or 0
    longest = milliseconds(outliers.get("max_ejection_time"), max(base, 300_000))
    return {
        "failures": _counted(outliers, "consecutive_5xx", 5, 100),
        "gateway_failures": _counted(outliers, "consecutive_gateway_failure", 5, 0),
        "connect_failures": _counted(outliers, "consecutive_local_origin_failure", 5, 100)
        if split
        else "as failures",
        "success_rate": outliers.get("enforcing_success_rate", 100) > 0,
        "interval_ms": milliseconds(outliers.get("interval"), 10_000),
        "open_ms": base,
        "open_ms_max": longest,
        "ejected_percent_max": outliers.get("max_ejection_percent", 10),
    }


def _counted(outliers: Json, name: str, default: int, enforced: int) -> int | None:
    return outliers.get(name, default) if outliers.get(f"enforcing_{name}", enforced) else None


def _balancer(cluster: Json) -> str:
    policies = cluster.get("load_balancing_policy", {}).get("policies", ())
    if policies:
        name = policies[0]["typed_extension_config"]["name"]
        return _BALANCERS.get(name) or str(name)
    return cluster.get("lb_policy", "ROUND_ROBIN")


def _protocol(cluster: Json) -> str:
    options = cluster.get("typed_extension_protocol_options", {}).get(_OPTIONS, {})
    if "auto_config" in options:
        return "by ALPN"
    if "use_downstream_protocol_config" in options:
        return "as the caller"
    explicit = options.get("explicit_http_config", {})
    two = "http2_protocol_options" in explicit or "http2_protocol_options" in cluster
    return "HTTP/2" if two else "HTTP/1.1"


def _idle(cluster: Json) -> int | None:
    options = cluster.get("typed_extension_protocol_options", {}).get(_OPTIONS, {})
    basic = options.get("common_http_protocol_options", {})
    return milliseconds(basic.get("idle_timeout"), _IDLE_MS)


def _upstream(cluster: Json, workload: str) -> Json | None:
    socket = cluster.get("transport_socket")
    matches = cluster.get("transport_socket_matches", ())
    if matches:
        socket = matches[0]["transport_socket"]
    if not socket or "sni" not in socket.get("typed_config", {}):
        named = (socket or {}).get("typed_config", {}).get("@type", "")
        if not named.endswith("UpstreamTlsContext"):
            return None
    config = socket["typed_config"] if socket else {}
    return {"sni": config.get("sni", ""), **tls(config["common_tls_context"], workload)}


def tls(context: Json, workload: str) -> Json:
    """Return the facts of one side of TLS: certificate, trusted authority, peer's names."""
    combined = context.get("combined_validation_context", {})
    validation = combined.get("default_validation_context", context.get("validation_context", {}))
    trusted = combined.get(
        "validation_context_sds_secret_config", context.get("validation_context_sds_secret_config")
    )
    own = context.get("tls_certificate_sds_secret_configs", ())
    params = context.get("tls_params", {})
    return {
        "certificate": [secret(each["name"], workload) for each in own],
        "authority": secret(trusted["name"], workload) if trusted else None,
        "peer": _peers(validation),
        "lowest": params.get("tls_minimum_protocol_version", "TLS_AUTO"),
    }


def _peers(validation: Json) -> list[str]:
    typed = validation.get("match_typed_subject_alt_names", ())
    matchers = [each["matcher"] for each in typed] + list(
        validation.get("match_subject_alt_names", ())
    )
    texts = {f"{kind} {text}" for each in matchers for kind, text in each.items()}
    return sorted(texts)
