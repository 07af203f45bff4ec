"""Converts JSON to protobuf and back: the request check in Lua, then Envoy's transcoder.

Envoy supports `response_body` only for google.api.HttpBody. The contracts use it for other
messages: an RPC returns its own response message, and the REST body is only the resource. So the
transcoder gets a descriptor set without `response_body`, and the Lua code unwraps the response.
"""

from typing import Any

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.filters.http.grpc_json_transcoder import v3 as transcoder
from envoy_data_plane.envoy.extensions.filters.http.lua import v3 as lua
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway import request_check
from mesh.controlplane import model
from mesh.controlplane.translate.edge import names
from mesh.controlplane.translate.edge.bodies import body_bytes_max
from mesh.controlplane.translate.edge.tokens import token_rules
from mesh.controlplane.translate.http import http_filter
from services.contracts import default_descriptor_set

_HTTP: Any = annotations_pb2.http
_RESPONSE_BYTES_MAX = 1048576


def request_check_filter(edge: model.Edge) -> hcm.HttpFilter:
    """Return the Lua filter; its code comes from gateway/request_check.py."""
    source = core.DataSource(
        inline_string=request_check.source(edge.contracts, token_rules(edge.issuer))
    )
    return http_filter(names.LUA, lua.Lua(default_source_code=source))


def transcoder_filter(edge: model.Edge) -> hcm.HttpFilter:
    """Return the transcoder, which knows only the services behind the gateway's routes."""
    return http_filter(names.TRANSCODER, _transcoder(edge))


def _transcoder(edge: model.Edge) -> transcoder.GrpcJsonTranscoder:
    served = {each.method[1:].partition("/")[0] for each in edge.routes}
    return transcoder.GrpcJsonTranscoder(
        proto_descriptor_bin=transcodable(default_descriptor_set()),
        services=sorted(served),
        convert_grpc_status=True,
        match_incoming_request_route=True,
        print_options=transcoder.GrpcJsonTranscoderPrintOptions(always_print_primitive_fields=True),
        request_validation_options=transcoder.GrpcJsonTranscoderRequestValidationOptions(
            reject_unknown_method=True,
            reject_unknown_query_parameters=True,
            reject_binding_body_field_collisions=True,
        ),
        # The buffer filter has the limit of each route; the transcoder has one for all.
        max_request_body_size=max(body_bytes_max(edge.limits, each) for each in edge.routes),
        max_response_body_size=_RESPONSE_BYTES_MAX,
    )


def transcodable(descriptor_set: bytes) -> bytes:
    """Return the serialised descriptor set without response_body."""
    files = FileDescriptorSet.FromString(descriptor_set)
    for file in files.file:
        for service in file.service:
            for method in service.method:
                if method.options.HasExtension(_HTTP):
                    rule = method.options.Extensions[_HTTP]
                    for each in (rule, *rule.additional_bindings):
                        each.response_body = ""
    return files.SerializeToString(deterministic=True)
