"""The comments of proto/, by the full name of the element that they describe."""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto, FileDescriptorSet

# Field numbers in descriptor.proto; the path of a source location consists of them.
_FILE = (("message_type", 4), ("enum_type", 5), ("service", 6))
_INNER = {
    "message_type": (("field", 2), ("nested_type", 3), ("enum_type", 4)),
    "nested_type": (("field", 2), ("nested_type", 3), ("enum_type", 4)),
    "enum_type": (("value", 2),),
    "service": (("method", 2),),
}


class Comments:
    """Finds comments; returns an empty text if there is none or the set has no source info."""

    def __init__(self, descriptor_set: bytes) -> None:
        self._texts: dict[str, str] = {}
        for file in FileDescriptorSet.FromString(descriptor_set).file:
            by_path = {
                tuple(place.path): " ".join(place.leading_comments.split())
                for place in file.source_code_info.location
                if place.leading_comments
            }
            for path, name in _walk(file, file.package, (), _FILE):
                if path in by_path:
                    self._texts[name] = by_path[path]

    def of(self, full_name: str) -> str:
        """Return the comment on one line."""
        return self._texts.get(full_name, "")


def _walk(
    element: FileDescriptorProto | DescriptorProto | Any,
    scope: str,
    path: tuple[int, ...],
    kinds: tuple[tuple[str, int], ...],
) -> Iterator[tuple[tuple[int, ...], str]]:
    for kind, number in kinds:
        for index, each in enumerate(getattr(element, kind)):
            here, name = (*path, number, index), f"{scope}.{each.name}"
            yield here, name
            yield from _walk(each, name, here, _INNER.get(kind, ()))
