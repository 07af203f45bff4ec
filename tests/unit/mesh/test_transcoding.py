"""The descriptor set that Envoy's transcoder gets."""

from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mesh.controlplane.translate.edge.transcoding import transcodable
from services import contracts


def test_the_transcoder_gets_no_response_body() -> None:
    files = FileDescriptorSet.FromString(transcodable(contracts.default_descriptor_set()))
    rules = [
        method.options.Extensions[annotations_pb2.http]  # pyright: ignore[reportArgumentType]
        for file in files.file
        for service in file.service
        for method in service.method
    ]
    assert not [rule for rule in rules if rule.response_body]
    assert [rule for rule in rules if rule.body == "*"]
