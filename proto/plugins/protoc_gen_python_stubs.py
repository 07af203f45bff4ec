"""A protoc plugin that wraps grpc_tools: it generates messages, stubs and gRPC classes in one pass.

buf sends a CodeGeneratorRequest to a plugin's standard input. grpc_tools contains protoc and its
Python generators, but not as separate plugins. This plugin passes the request's descriptors to
protoc and returns the files that protoc wrote.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet


def generate(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Return the generated files for every file that the request names."""
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    with tempfile.TemporaryDirectory() as folder:
        descriptors = Path(folder, "in.binpb")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        out = Path(folder, "out")
        out.mkdir()
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={descriptors}"]
        command += [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
        subprocess.run([*command, *request.file_to_generate], check=True, stdout=sys.stderr)
        services = {file.name for file in request.proto_file if file.service}
        for path in sorted(out.rglob("*.py*")):
            name = path.relative_to(out).as_posix()
            if (
                name.endswith("_pb2_grpc.py")
                and name[: -len("_pb2_grpc.py")] + ".proto" not in services
            ):
                continue
            response.file.add(name=name, content=path.read_text())
    return response


if __name__ == "__main__":
    incoming = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(incoming).SerializeToString())
