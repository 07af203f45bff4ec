"""The gateway: TLS, then per request the filters in the order in which they may refuse it.

Address bucket, token, scopes or partner identity, caller's bucket, body size, body shape (Lua),
transcoding. What is refused early costs little; nothing is buffered for a caller without a token.
"""

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.common.mutation_rules import v3 as mutation_rules
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener import v3 as listener
from envoy_data_plane.envoy.extensions.filters.http.buffer import v3 as buffer
from envoy_data_plane.envoy.extensions.filters.http.cors import v3 as cors
from envoy_data_plane.envoy.extensions.filters.http.grpc_json_transcoder import v3 as transcoder
from envoy_data_plane.envoy.extensions.filters.http.lua import v3 as lua
from envoy_data_plane.envoy.extensions.filters.http.rbac import v3 as rbac_filter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation import (
    v3 as early,
)
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from mesh.controlplane import model
from mesh.controlplane.translate import clusters, names, tls
from mesh.controlplane.translate.edge_limits import address_limit, class_limit
from mesh.controlplane.translate.edge_routes import route_configuration
from mesh.controlplane.translate.edge_tokens import jwt_filter
from mesh.controlplane.translate.http import (
    access_log,
    http_filter,
    network_filter,
    router_filter,
)
from mesh.controlplane.translate.parts import SecretSource, exact, packed, prefix, span, tcp
from mesh.controlplane.translate.replies import local_replies

EDGE = "edge"
_BUFFER_BYTES = 131072
_RESPONSE_BYTES_MAX = 1048576
_STREAMS_MAX = 128
_WINDOW_BYTES = 65536
_CONNECTION_WINDOW_BYTES = 1048576
_NOT_OF_GRPC = "[^:]*[^:0-9a-z_.-].*"


def listeners(edge: model.Edge, source: SecretSource) -> list[listener.Listener]:
    """Return the one listener of the edge."""
    chain = listener.FilterChain(
        filters=[network_filter(_manager(edge))],
        transport_socket=tls.edge_socket(edge, source),
        transport_socket_connect_timeout=span(tls.HANDSHAKE_MS_MAX),
    )
    return [
        listener.Listener(
            name=EDGE,
            address=tcp(edge.listen),
            per_connection_buffer_limit_bytes=_BUFFER_BYTES,
            filter_chains=[chain],
            listener_filters=[],
        )
    ]


def cluster_list(edge: model.Edge, source: SecretSource) -> list[cluster.Cluster]:
    """Return the services behind the edge, and the token issuer."""
    services = [clusters.service_cluster(edge.workload, each, source) for each in edge.services]
    return [*services, *(clusters.partner_cluster(each, source) for each in edge.partners)]


def secrets(edge: model.Edge) -> list[tls.tls.Secret]:
    """Return the secrets that the edge's contexts name."""
    return [
        tls.certificate_secret(edge.certificate),
        tls.certificate_secret(edge.workload.certificate),
        tls.authority_secret(edge.workload.authority),
        tls.authority_secret(edge.partner_authority),
    ]


def _manager(edge: model.Edge) -> hcm.HttpConnectionManager:
    limits = edge.limits
    escapes = hcm.HttpConnectionManagerPathWithEscapedSlashesAction
    underscores = core.HttpProtocolOptionsHeadersWithUnderscoresAction
    return hcm.HttpConnectionManager(
        codec_type=hcm.HttpConnectionManagerCodecType.AUTO,
        stat_prefix=EDGE,
        access_log=[access_log(edge.workload)],
        route_config=route_configuration(edge),
        http_filters=_filters(edge),
        local_reply_config=local_replies(),
        early_header_mutation_extensions=[_strip_foreign_headers()],
        use_remote_address=True,
        always_set_request_id_in_response=True,
        preserve_external_request_id=True,
        server_name="bp",
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=escapes.REJECT_REQUEST,
        max_request_headers_kb=limits.headers_kib,
        request_headers_timeout=span(limits.request_timeout_ms),
        request_timeout=span(limits.request_timeout_ms),
        stream_idle_timeout=span(limits.idle_timeout_ms),
        common_http_protocol_options=core.HttpProtocolOptions(
            idle_timeout=span(limits.idle_timeout_ms),
            max_headers_count=limits.headers_count,
            headers_with_underscores_action=underscores.REJECT_REQUEST,
        ),
        http_protocol_options=core.Http1ProtocolOptions(ignore_http_11_upgrade=[_matching(".*")]),
        http2_protocol_options=core.Http2ProtocolOptions(
            # A malformed request ends its stream (RFC 9113, 8.1.1), not those beside it.
            override_stream_error_on_invalid_http_message=True,
            max_concurrent_streams=_STREAMS_MAX,
            initial_stream_window_size=_WINDOW_BYTES,
            initial_connection_window_size=_CONNECTION_WINDOW_BYTES,
        ),
    )


def _strip_foreign_headers() -> core.TypedExtensionConfig:
    """Drop what only the mesh may say: identities, instructions to Envoy and to gRPC.

    And what gRPC cannot carry: a server ends the whole call for such a name or such a value of
    a header "-bin", which would be a 500 for a harmless request.
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
    body_bytes = edge.limits.body_bytes
    return [
        http_filter(names.CORS, cors.Cors()),
        address_limit(edge),
        jwt_filter(edge),
        http_filter(names.RBAC, rbac_filter.Rbac()),
        class_limit(edge),
        http_filter(names.BUFFER, buffer.Buffer(max_request_bytes=body_bytes)),
        http_filter(names.LUA, lua.Lua(default_source_code=_lua_source(edge))),
        http_filter(names.TRANSCODER, _transcoder(edge)),
        router_filter(),
    ]


def _lua_source(edge: model.Edge) -> core.DataSource:
    return core.DataSource(inline_string=edge.transcoding.lua)


def _transcoder(edge: model.Edge) -> transcoder.GrpcJsonTranscoder:
    served = {each.method[1:].partition("/")[0] for each in edge.routes}
    return transcoder.GrpcJsonTranscoder(
        proto_descriptor_bin=edge.transcoding.descriptor_set,
        services=sorted(served),
        convert_grpc_status=True,
        match_incoming_request_route=True,
        print_options=transcoder.GrpcJsonTranscoderPrintOptions(always_print_primitive_fields=True),
        request_validation_options=transcoder.GrpcJsonTranscoderRequestValidationOptions(
            reject_unknown_method=True,
            reject_unknown_query_parameters=True,
            reject_binding_body_field_collisions=True,
        ),
        max_request_body_size=edge.limits.body_bytes,
        max_response_body_size=_RESPONSE_BYTES_MAX,
    )
