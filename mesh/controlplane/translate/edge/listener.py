"""The gateway's listener: TLS, then the HTTP filters in the order in which they check a request.

The order is: address bucket, CORS, caller's headers, token, scopes or partner identity, caller's
bucket, bodies that have not arrived yet, body size, request check, transcoding. The cheap checks
come first; the gateway buffers a body without a token only for a public method.
"""

from envoy_data_plane.envoy.config.common.mutation_rules import v3 as mutation_rules
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.extensions.filters.http.buffer import v3 as buffer
from envoy_data_plane.envoy.extensions.filters.http.cors import v3 as cors
from envoy_data_plane.envoy.extensions.filters.http.rbac import v3 as rbac_filter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation import (
    v3 as early,
)
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from mesh.controlplane import model
from mesh.controlplane.passed_on import PassedOn
from mesh.controlplane.translate import tls
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.edge.bodies import open_bodies_filter
from mesh.controlplane.translate.edge.caller import caller_filter
from mesh.controlplane.translate.edge.limits import address_limit, class_limit
from mesh.controlplane.translate.edge.replies import local_replies
from mesh.controlplane.translate.edge.routes import route_configuration
from mesh.controlplane.translate.edge.tokens import jwt_filter
from mesh.controlplane.translate.edge.transcoding import request_check_filter, transcoder_filter
from mesh.controlplane.translate.http import (
    access_log,
    http_filter,
    network_filter,
    router_filter,
)
from mesh.controlplane.translate.parts import SecretSource, exact, packed, prefix, span, tcp

EDGE = "edge"
_BUFFER_BYTES = 131072
_STREAMS_MAX = 128
_WINDOW_BYTES = 65536
_CONNECTION_WINDOW_BYTES = 1048576
_FLUSH_MS = 5_000
"""How long a caller may leave a whole answer unread. Until then it takes memory; see perAddress in
gateway.yaml."""
_NOT_OF_GRPC = "[^:]*[^:0-9a-z_.-].*"


def edge_listener(edge: model.Edge, source: SecretSource, passed_on: PassedOn) -> listener.Listener:
    """Return the one listener of the gateway."""
    chain = listener.FilterChain(
        filters=[network_filter(_manager(edge, passed_on))],
        transport_socket=tls.edge_socket(edge, source),
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
        access_log=[access_log(edge.workload, passed_on)],
        route_config=route_configuration(edge),
        http_filters=_filters(edge),
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


def _filters(edge: model.Edge) -> list[hcm.HttpFilter]:
    return [
        address_limit(edge),
        http_filter(names.CORS, cors.Cors()),
        caller_filter(edge),
        jwt_filter(edge),
        http_filter(names.RBAC, rbac_filter.Rbac()),
        class_limit(edge),
        open_bodies_filter(edge),
        http_filter(names.BUFFER, buffer.Buffer(max_request_bytes=edge.limits.body_bytes)),
        request_check_filter(edge),
        transcoder_filter(edge),
        router_filter(),
    ]
