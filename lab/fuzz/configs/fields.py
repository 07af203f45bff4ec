"""The fields of a configuration that the control plane honours, and which of them differ."""

from collections.abc import Iterable, Iterator
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from lab.fuzz.configs.repository import Files, Resource, files
from mesh.controlplane.ingest import fields
from mesh.controlplane.ingest.shape import Shape
from mesh.controlplane.ingest.shapes import SPECS, Metadata

Field = tuple[str, str]
"""A kind and the path of a field in it, without the positions in lists and the keys of maps."""
Place = tuple[str | int, ...]
_KINDS = {kind: spec for (_, kind), spec in SPECS.items()}
_METADATA = ("name", "labels", "annotations")


@cache
def honoured() -> frozenset[Field]:
    """Return every field that some kind honours."""
    of_kinds = {
        (kind, ".".join(path)) for kind, spec in _KINDS.items() for path, _ in fields.honoured(spec)
    }
    return frozenset(of_kinds | {("Metadata", each) for each in _METADATA})


def leaves(resource: Resource) -> Iterator[tuple[Field, Place, Any]]:
    """Yield each honoured field that a resource sets, with its place and its value."""
    kind = resource.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        return
    for path, place, value in _walk(resource.get("metadata"), Metadata, (), ("metadata",)):
        if path and path[0] in _METADATA:
            yield ("Metadata", ".".join(path)), place, value
    for path, place, value in _walk(resource.get("spec"), _KINDS[kind], (), ("spec",)):
        yield (kind, ".".join(path)), place, value


def differing(made: Files) -> set[Field]:
    """Return the fields with a value that they have nowhere in the repository's configuration."""
    return {field for field, _ in _valued(made) - _base_valued()}


@cache
def _base_valued() -> frozenset[tuple[Field, str]]:
    return _valued(files())


def _valued(made: Files) -> frozenset[tuple[Field, str]]:
    every = (one for found in made.values() for one in found)
    return frozenset((field, repr(value)) for one in every for field, _, value in leaves(one))


def _walk(
    value: Any, annotation: Any, path: tuple[str, ...], place: Place
) -> Iterator[tuple[tuple[str, ...], Place, Any]]:
    shape = next(_shapes(annotation), None)
    if shape is None:
        yield path, place, value
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _walk(each, annotation, path, (*place, index))
    elif isinstance(value, dict) and _is_map(annotation):
        for key, each in value.items():
            yield from _walk(each, shape, path, (*place, key))
    elif isinstance(value, dict):
        for name, field in shape.model_fields.items():
            alias = field.alias or name
            if alias in value:
                yield from _walk(value[alias], field.annotation, (*path, alias), (*place, alias))


def _is_map(annotation: Any) -> bool:
    """Return whether a type is a map."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_map(inner[0])
    if origin in (Union, UnionType):
        return any(_is_map(each) for each in inner)
    return origin is dict


def _shapes(annotation: Any) -> Iterator[type[Shape]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, Shape):
            yield annotation
        return
    for each in get_args(annotation):
        yield from _shapes(each)


def listed(found: Iterable[Field]) -> str:
    """Return fields in one line."""
    return ", ".join(f"{kind} {path}" for kind, path in sorted(found))
