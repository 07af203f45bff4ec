"""The gateway's listener: TLS, then the HTTP filters in the order in which they check a request.

The order is: address bucket, CORS, caller's headers, token, scopes or partner identity, caller's
bucket, bodies that have not arrived yet, body size, request check, transcoding. The cheap checks
come first; the gateway buffers a body without a token only for a public method.
"""

from collections.abc import Callable
from dataclasses import dataclass

import betterproto2
from envoy_data_plane.envoy.config.common.mutation_rules import v3 as mutation_rules
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.extensions.filters.http.buffer import v3 as buffer
from envoy_data_plane.envoy.extensions.filters.http.cors import v3 as cors
from envoy_data_plane.envoy.extensions.filters.http.grpc_json_transcoder import v3 as transcoder
from envoy_data_plane.envoy.extensions.filters.http.jwt_authn import v3 as jwt
from envoy_data_plane.envoy.extensions.filters.http.local_ratelimit import v3 as local
from envoy_data_plane.envoy.extensions.filters.http.lua import v3 as lua
from envoy_data_plane.envoy.extensions.filters.http.rbac import v3 as rbac_filter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation import (
    v3 as early,
)
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate import tls
from mesh.controlplane.translate.counters import PEER, call_counters
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.edge.bodies import open_bodies_filter
from mesh.controlplane.translate.edge.caller import caller_filter
from mesh.controlplane.translate.edge.limits import address_limit, class_limit
from mesh.controlplane.translate.edge.replies import local_replies
from mesh.controlplane.translate.edge.routes import route_configuration
from mesh.controlplane.translate.edge.tokens import jwt_filter
from mesh.controlplane.translate.edge.transcoding import request_check_filter, transcoder_filter
from mesh.controlplane.translate.http import (
    FAULT,
    access_log,
    discovered,
    extension,
    fault_filter,
    http_filter,
    network_filter,
    router_filter,
    set_routes,
)
from mesh.controlplane.translate.parts import Sources, exact, packed, prefix, span, tcp

EDGE = "edge"
_BUFFER_BYTES = 131072
_STREAMS_MAX = 128
_WINDOW_BYTES = 65536
_CONNECTION_WINDOW_BYTES = 1048576
_FLUSH_MS = 5_000
"""How long a caller may leave a whole answer unread. Until then it takes memory; see perAddress in
gateway.yaml."""
_NOT_OF_GRPC = "[^:]*[^:0-9a-z_.-].*"


def edge_listener(edge: model.Edge, sources: Sources, passed_on: PassedOn) -> listener.Listener:
    """Return the one listener of the gateway."""
    manager = _manager(edge, passed_on)
    set_routes(manager, EDGE, lambda: route_configuration(edge), sources)
    manager.http_filters = [step.placed(edge, sources) for step in _STEPS]
    chain = listener.FilterChain(
        filters=[network_filter(manager)],
        transport_socket=tls.edge_socket(edge, sources.secret),
        transport_socket_connect_timeout=span(tls.HANDSHAKE_MS_MAX),
    )
    return listener.Listener(
        name=EDGE,
        address=tcp(edge.listen),
        per_connection_buffer_limit_bytes=_BUFFER_BYTES,
        filter_chains=[chain],
        listener_filters=[],
    )


def _manager(edge: model.Edge, passed_on: PassedOn) -> hcm.HttpConnectionManager:
    limits = edge.limits
    escapes = hcm.HttpConnectionManagerPathWithEscapedSlashesAction
    underscores = core.HttpProtocolOptionsHeadersWithUnderscoresAction
    return hcm.HttpConnectionManager(
        codec_type=hcm.HttpConnectionManagerCodecType.AUTO,
        stat_prefix=EDGE,
        access_log=[access_log(edge.workload, passed_on), call_counters(PEER)],
        local_reply_config=local_replies(edge.cors),
        early_header_mutation_extensions=[_strip_foreign_headers()],
        use_remote_address=True,
        always_set_request_id_in_response=True,
        preserve_external_request_id=True,
        server_name="bp",
        normalize_path=True,
        # Only equivalent paths are the same path (RFC 3986, 6.2.2). Access rules belong to routes,
        # and no route has an empty segment, so a doubled slash avoids none of them: it is a 404.
        merge_slashes=False,
        path_with_escaped_slashes_action=escapes.REJECT_REQUEST,
        max_request_headers_kb=limits.headers_kib,
        request_headers_timeout=span(limits.request_timeout_ms),
        request_timeout=span(limits.request_timeout_ms),
        stream_idle_timeout=span(limits.idle_timeout_ms),
        stream_flush_timeout=span(_FLUSH_MS),
        common_http_protocol_options=core.HttpProtocolOptions(
            idle_timeout=span(limits.idle_timeout_ms),
            max_headers_count=limits.headers_count,
            headers_with_underscores_action=underscores.REJECT_REQUEST,
        ),
        http_protocol_options=core.Http1ProtocolOptions(ignore_http_11_upgrade=[_matching(".*")]),
        http2_protocol_options=core.Http2ProtocolOptions(
            # A malformed request ends only its own stream (RFC 9113, 8.1.1), not the connection.
            override_stream_error_on_invalid_http_message=True,
            max_concurrent_streams=_STREAMS_MAX,
            initial_stream_window_size=_WINDOW_BYTES,
            initial_connection_window_size=_CONNECTION_WINDOW_BYTES,
        ),
    )


def _strip_foreign_headers() -> core.TypedExtensionConfig:
    """Drop headers that only the mesh may set: identities, instructions to Envoy and to gRPC.

    Also drop headers that gRPC cannot carry. A gRPC server ends the whole call if it gets such a
    name, or such a value in a "-bin" header; a harmless request would then fail with 500.
    """
    foreign = [
        *(prefix("x-bp-"), prefix("x-envoy-"), exact("x-forwarded-client-cert")),
        *(prefix("grpc-"), matcher.StringMatcher(suffix="-bin")),
        _matching(_NOT_OF_GRPC),
    ]
    return core.TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation",
        typed_config=packed(early.HeaderMutation(mutations=[_removal(each) for each in foreign])),
    )


def _matching(regex: str) -> matcher.StringMatcher:
    return matcher.StringMatcher(safe_regex=matcher.RegexMatcher(regex=regex))


def _removal(key: matcher.StringMatcher) -> mutation_rules.HeaderMutation:
    return mutation_rules.HeaderMutation(
        remove_on_match=mutation_rules.HeaderMutationRemoveOnMatch(key_matcher=key)
    )


def _cors_filter(_edge: model.Edge) -> hcm.HttpFilter:
    return http_filter(names.CORS, cors.Cors())


def _access_filter(_edge: model.Edge) -> hcm.HttpFilter:
    return http_filter(names.RBAC, rbac_filter.Rbac())


def _buffer_filter(edge: model.Edge) -> hcm.HttpFilter:
    return http_filter(names.BUFFER, buffer.Buffer(max_request_bytes=edge.limits.body_bytes))


def _fault_filter(_edge: model.Edge) -> hcm.HttpFilter:
    return fault_filter()


def _router(_edge: model.Edge) -> hcm.HttpFilter:
    return router_filter()


@dataclass(frozen=True)
class _Step:
    """A filter. With a type of `settings`, these come from config/ or the contracts."""

    name: str
    made: Callable[[model.Edge], hcm.HttpFilter]
    settings: type[betterproto2.Message] | None = None

    def placed(self, edge: model.Edge, sources: Sources) -> hcm.HttpFilter:
        """Return the filter for the listener: itself, or a reference to an extension."""
        if sources.streamed and self.settings is not None:
            return discovered(self.name, self.settings)
        return self.made(edge)


_STEPS = (
    _Step(names.LIMIT_ADDRESS, address_limit, local.LocalRateLimit),
    _Step(names.CORS, _cors_filter),
    _Step(names.CALLER, caller_filter, lua.Lua),
    _Step(names.JWT, jwt_filter, jwt.JwtAuthentication),
    _Step(names.RBAC, _access_filter),
    _Step(names.LIMIT_CLASS, class_limit, local.LocalRateLimit),
    _Step(names.OPEN_BODIES, open_bodies_filter, lua.Lua),
    _Step(names.BUFFER, _buffer_filter, buffer.Buffer),
    _Step(names.LUA, request_check_filter, lua.Lua),
    _Step(names.TRANSCODER, transcoder_filter, transcoder.GrpcJsonTranscoder),
    # After the transcoder, so that it turns the answer of a fault into one of the REST API.
    _Step(FAULT, _fault_filter),
    _Step("router", _router),
)
"""The filters in their order. In the stream form each with settings is a resource of its own, so an
edit replaces only this filter, and the token filter keeps its keys."""


def edge_extensions(edge: model.Edge) -> list[core.TypedExtensionConfig]:
    """Return the settings of filters that the listener names in the stream form."""
    return [extension(step.made(edge)) for step in _STEPS if step.settings is not None]
