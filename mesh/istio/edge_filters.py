"""The gateway's filters, limits and error replies on a cluster, as EnvoyFilters.

They come from the listener that the control plane makes. Istio's own filters for tokens, access,
CORS and faults stay or are moved, so that the order is the same. Settings of routes are in
`edge_routes`.
"""

from collections.abc import Iterator
from typing import Any

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.edge.listener import edge_listener
from mesh.controlplane.translate.http import FAULT
from mesh.controlplane.translate.parts import STREAM, Sources
from mesh.istio.kinds import Kind
from mesh.istio.patches import SECOND, Value, envoy_filter, of_istio, patch, plain
from services.contracts import GATEWAY

_CONTEXT = "GATEWAY"
_MANAGER = "envoy.filters.network.http_connection_manager"
_ROUTER = "envoy.filters.http.router"
_OF_ISTIO = {
    *("@type", "stat_prefix", "codec_type", "access_log", "http_filters", "route_config"),
}
"""What Istio sets itself in the connection manager, from its own kinds."""


def filters(edge: model.Edge, passed_on: PassedOn) -> Iterator[Kind]:
    """Yield the limits of connections and requests, then the HTTP filters."""
    sources = Sources(streamed=False, secret=STREAM.secret)
    listener = plain(edge_listener(edge, sources, passed_on))
    (chain,) = listener["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    yield envoy_filter("edge-limits", GATEWAY, _limits(listener, chain, manager))
    listed = manager["http_filters"]
    yield envoy_filter("edge-filters", GATEWAY, _filters(listed))
    # An object of its own: `kubectl apply` refuses objects above 256 KiB.
    transcoding = [_before(FAULT, each) for each in listed if each["name"] == names.TRANSCODER]
    yield envoy_filter("edge-transcoding", GATEWAY, transcoding, priority=SECOND)


def _limits(listener: Value, chain: Value, manager: Value) -> Iterator[Kind]:
    buffer, handshake = "per_connection_buffer_limit_bytes", "transport_socket_connect_timeout"
    yield patch("LISTENER", _CONTEXT, {}, "MERGE", {buffer: listener[buffer]})
    yield patch("FILTER_CHAIN", _CONTEXT, {}, "MERGE", {handshake: chain[handshake]})
    kept = {key: each for key, each in manager.items() if key not in _OF_ISTIO}
    typed = {"@type": manager["@type"], **kept}
    value = {"name": _MANAGER, "typed_config": typed}
    yield patch("NETWORK_FILTER", _CONTEXT, _at(), "MERGE", value)


def _filters(listed: list[Value]) -> Iterator[Kind]:
    """Put the filters in their order: before the token check, and after the access check."""
    order = [each["name"] for each in listed]
    token, access = order.index(names.JWT), order.index(names.RBAC)
    for moved in (names.CORS, FAULT):
        yield patch("HTTP_FILTER", _CONTEXT, _at(moved), "REMOVE", {})
    # Istio has no fields for most settings of the token filter, such as the source of the keys.
    yield patch("HTTP_FILTER", _CONTEXT, _at(names.JWT), "REPLACE", of_istio(listed[token]))
    for each in reversed(listed[:token]):
        yield patch("HTTP_FILTER", _CONTEXT, _at(), "INSERT_FIRST", each)
    for each in listed[access + 1 :]:
        if each["name"] not in (names.TRANSCODER, _ROUTER):
            yield _before(_ROUTER, each)


def _before(other: str, http_filter: Value) -> Kind:
    return patch("HTTP_FILTER", _CONTEXT, _at(other), "INSERT_BEFORE", http_filter)


def _at(http_filter: str = "") -> dict[str, Any]:
    """Return the match of the connection manager, or of an HTTP filter in it."""
    inner = {"subFilter": {"name": http_filter}} if http_filter else {}
    return {"listener": {"filterChain": {"filter": {"name": _MANAGER, **inner}}}}
