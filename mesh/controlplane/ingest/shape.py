"""The base of all Istio kinds: a strict, frozen model that knows which of its fields were read.

If a file sets a field that nothing reads, the field has no effect here, although a cluster may
apply it. So the control plane refuses the field. It needs no list of the fields that it supports.
"""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PrivateAttr
from pydantic.alias_generators import to_camel

Place = tuple[str | int, ...]


class Shape(BaseModel):
    """A strict and frozen model; its fields are camelCase in YAML."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        arbitrary_types_allowed=True,
    )
    CARRIED: ClassVar[frozenset[str]] = frozenset()
    """Fields whose values all mean the same, so that nothing has to read them."""
    _read: set[str] = PrivateAttr(default_factory=set[str])

    def __getattribute__(self, name: str) -> Any:
        """Note that a field is read."""
        if name in type(self).__pydantic_fields__:
            private = super().__getattribute__("__pydantic_private__")
            if private is not None:
                private["_read"].add(name)
        return super().__getattribute__(name)


def forget(shape: Shape) -> None:
    """Forget which fields were read so far; the validation reads them too."""
    for _, value in shape:
        for _, inner in _shapes(value):
            forget(inner)
    shape._read.clear()  # pyright: ignore[reportPrivateUsage]


def unread(shape: Shape, at: Place) -> Iterator[Place]:
    """Yield the place of each field that the file sets and nothing has read, outermost first.

    A field that can have only one value needs no reader: its validation is enough.
    """
    read = frozenset(shape._read)  # pyright: ignore[reportPrivateUsage]
    for name, field in type(shape).model_fields.items():
        if name not in shape.model_fields_set:
            continue
        place = (*at, field.alias or name)
        if name not in read and name not in type(shape).CARRIED and not _fixed(field.annotation):
            yield place
            continue
        for key, inner in _shapes(getattr(shape, name)):
            yield from unread(inner, (*place, *key))


def _shapes(value: Any) -> Iterator[tuple[Place, Shape]]:
    if isinstance(value, Shape):
        yield (), value
    elif isinstance(value, list | tuple):
        yield from (((i,), each) for i, each in enumerate(value) if isinstance(each, Shape))
    elif isinstance(value, dict):
        yield from (((str(k),), each) for k, each in value.items() if isinstance(each, Shape))


def _fixed(annotation: Any) -> bool:
    """Return whether a type has only one value."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return len(inner) == 1
    if origin is Annotated:
        return _fixed(inner[0])
    if origin in (Union, UnionType):
        return all(_fixed(each) for each in inner if each is not NoneType)
    if origin in (list, dict):
        return all(_fixed(each) for each in inner)
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        fields = annotation.model_fields.values()
        return all(_fixed(each.annotation) for each in fields)
    return False
