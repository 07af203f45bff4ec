"""What the gateway's listener does besides routing: its filters, limits and error replies.

Long texts, such as the code of a filter, are compared by their digest.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lab.conformance.facts import routing
from lab.conformance.facts.calls import Call
from lab.conformance.facts.names import destination
from lab.conformance.facts.proxy import Proxy

Json = dict[str, Any]
_COUNTS = {"envoy.filters.http.grpc_stats"}
"""Filters of Istio that only count."""
_EVALUATED = {"envoy.filters.http.rbac", "envoy.filters.http.cors", "envoy.filters.http.fault"}
"""Filters whose rules other questions are about."""
_TEXT_MAX = 80
_NAMES = {"cluster", "@type"}
_OF_LISTENER = ("per_connection_buffer_limit_bytes",)
_OF_MANAGER = (
    *("common_http_protocol_options", "http_protocol_options", "http2_protocol_options"),
    *("max_request_headers_kb", "request_timeout", "request_headers_timeout"),
    *("stream_idle_timeout", "stream_flush_timeout", "early_header_mutation_extensions"),
    *("normalize_path", "merge_slashes", "path_with_escaped_slashes_action", "server_name"),
    *("use_remote_address", "xff_num_trusted_hops", "preserve_external_request_id"),
    *("always_set_request_id_in_response", "proxy_100_continue"),
)


def facts(proxy: Proxy) -> Iterator[tuple[str, Any]]:
    """Yield what the gateway's listener does with every request."""
    _, manager = proxy.inbound()
    kept = [each for each in proxy.http_filters(manager) if each[0] not in _COUNTS]
    yield "filters", [name for name, _ in kept]
    for name, settings in kept:
        if name not in _EVALUATED:
            yield f"filter {name}", short(settings.get("typed_config", {}))
    (listener,) = proxy.listeners
    yield "limits", {name: listener.get(name) for name in _OF_LISTENER}
    for name in _OF_MANAGER:
        yield f"limit {name}", short(manager.get(name))
    replies = manager.get("local_reply_config", {})
    for number, mapper in enumerate(replies.get("mappers", ())):
        yield f"reply {number}", digest(mapper)
    yield "reply of any other error", digest(replies.get("body_format"))


def of_route(table: Json, call: Call) -> Json:
    """Return what the filters read from the route of a call."""
    found = routing.route_of(table, call)
    if found is None:
        return {}
    _, route = found
    metadata = route.get("metadata", {}).get("filter_metadata", {})
    special = route.get("typed_per_filter_config", {})
    return {
        "metadata": {name: each for name, each in sorted(metadata.items()) if name != "istio"},
        "filters": {name: each for name, each in sorted(special.items()) if name not in _EVALUATED},
    }


def key_clusters(proxy: Proxy) -> set[str]:
    """Return the destinations from which the token filter gets its keys."""
    _, manager = proxy.inbound()
    return set(_clusters(dict(proxy.http_filters(manager))))


def short(value: Any) -> Any:
    """Return a value with digests of its long texts, and one name for each cluster."""
    if isinstance(value, dict):
        return {
            key: _named(key, each) if key in _NAMES else short(each)
            for key, each in sorted(value.items())
        }
    if isinstance(value, list):
        return [short(each) for each in value]
    return digest(value) if isinstance(value, str) and len(value) > _TEXT_MAX else value


def _named(key: str, value: str) -> str:
    return destination(value) if key == "cluster" else value.rpartition(".")[2]


def digest(value: Any) -> str:
    """Return a short name of a value that is equal only for equal values."""
    text = json.dumps(value, sort_keys=True)
    return f"sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _clusters(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("cluster"), str):
            yield destination(value["cluster"])
        for each in value.values():
            yield from _clusters(each)
    elif isinstance(value, list):
        for each in value:
            yield from _clusters(each)
