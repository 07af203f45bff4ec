"""The serialised FileDescriptorSet that `make gen` commits, and the ways to open one."""

from pathlib import Path

import bp
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool


def default_descriptor_set() -> bytes:
    """Return the committed descriptor set, gen/descriptor.binpb."""
    return Path(next(iter(bp.__path__))).with_name("descriptor.binpb").read_bytes()


def pool_of(descriptor_set: bytes) -> DescriptorPool:
    """Return a separate pool with every file of a serialised FileDescriptorSet."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(descriptor_set).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def file_names(descriptor_set: bytes) -> list[str]:
    """Return the names of the files in a serialised set."""
    return [file.name for file in FileDescriptorSet.FromString(descriptor_set).file]
