"""What Envoy's transcoder gets: the descriptor set, less what it cannot do itself.

Envoy refuses `response_body` for anything but google.api.HttpBody. The contract keeps it (an RPC
answers with a message of its own, the REST body is the resource), so it is taken out here and the
Lua filter unwraps the answer (gateway/lua.py).
"""

from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

_HTTP: Any = annotations_pb2.http


def for_envoy(descriptor_set: bytes) -> bytes:
    """Return the serialised set without response_body."""
    files = FileDescriptorSet.FromString(descriptor_set)
    for file in files.file:
        for service in file.service:
            for method in service.method:
                if method.options.HasExtension(_HTTP):
                    rule = method.options.Extensions[_HTTP]
                    for each in (rule, *rule.additional_bindings):
                        each.response_body = ""
    return files.SerializeToString(deterministic=True)
