"""Which fields a kind has: those of its shape, which are honoured, and those that are refused.

The error for a field, the nearest valid name and docs/mesh-support.md come from here.
"""

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib import resources as files
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from mesh.controlplane.ingest.documents import Place
from mesh.controlplane.ingest.shape import Shape

_FILE = "refusals.toml"
_KINDS, _REQUIRED = "kinds", "required"
_BELOW = "trafficPolicy"
_SUBSETS = "subsets"
_CHARS_MAX = 64
_LIKENESS = 0.6
_FEW = 6
Path = tuple[str, ...]
"""The names of a field and of all fields around it, without the positions in lists."""


@cache
def _tables() -> dict[str, dict[str, str]]:
    text = files.files(__package__ or "").joinpath(_FILE).read_text(encoding="utf-8")
    return tomllib.loads(text)


def refused_kind(kind: str) -> str | None:
    """Return why a kind is refused, and what to use instead; None for an unknown kind."""
    return _tables()[_KINDS].get(kind)


def refused_kinds() -> dict[str, str]:
    """Return the kinds that are refused, with reasons."""
    return dict(_tables()[_KINDS])


def refused_fields(kind: str) -> dict[str, str]:
    """Return the refused fields of a kind, and values as "field=VALUE", with reasons."""
    own = dict(_tables().get(kind, {}))
    # What is refused for a host is refused for its subsets.
    for field, reason in list(own.items()):
        if field.startswith(f"{_BELOW}."):
            own.setdefault(f"{_SUBSETS}.{field}", reason)
    return own


def refusal(kind: str, path: Path) -> str | None:
    """Return why a field, or a field around it, is refused; None if none of them is."""
    table = refused_fields(kind)
    ends = (".".join(path[:end]) for end in range(len(path), 0, -1))
    return next((table[each] for each in ends if each in table), None)


def refused_value(kind: str, path: Path, value: object) -> str | None:
    """Return why one value of a field is refused; None if no reason is known."""
    return refused_fields(kind).get(f"{'.'.join(path)}={value}")


def why_required(kind: str, path: Path) -> str | None:
    """Return why a field must be set, if there is a reason to say."""
    return _tables()[_REQUIRED].get(f"{kind} {'.'.join(path)}")


def nearest(name: str, among: Iterable[str]) -> str | None:
    """Return the valid name that is most like a wrong one, if any is like it."""
    return _nearest(name[:_CHARS_MAX], tuple(sorted(among)))


@lru_cache(maxsize=1024)
def _nearest(name: str, among: tuple[str, ...]) -> str | None:
    lower = {each.lower(): each for each in among}
    found = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=_LIKENESS)
    return lower[found[0]] if found else None


def suggestion(name: str, among: Iterable[str]) -> str:
    """Return the remedy for a wrong name: the nearest valid one, or all if they are few."""
    known = sorted(among)
    if found := nearest(name, known):
        return f"did you mean {found}?"
    few = 0 < len(known) <= _FEW
    return f"remove it or use {', '.join(known)}" if few else "correct or remove it"


def names_at(kind: str, shape: type[Shape], place: Place) -> set[str]:
    """Return the names that may be at a place: honoured, or refused with a reason."""
    path = tuple(part for part in place if isinstance(part, str))
    found = {each for reached in _reached(shape, list(place)) for each in _aliases(reached)}
    start = "".join(f"{each}." for each in path)
    refused = [each.partition("=")[0] for each in refused_fields(kind)]
    return found | {
        each.removeprefix(start).partition(".")[0] for each in refused if each.startswith(start)
    }


def honoured(shape: type[Shape], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every field of a shape that contains no other shape, with its type."""
    for name, field in shape.model_fields.items():
        path = (*at, field.alias or name)
        inner = list(_shapes(field.annotation))
        if not inner:
            yield path, field.annotation
        for each in inner:
            yield from honoured(each, path)


def _aliases(shape: type[Shape]) -> Iterator[str]:
    for name, field in shape.model_fields.items():
        yield field.alias or name


def _reached(shape: type[Shape], place: list[str | int]) -> Iterator[type[Shape]]:
    """Yield the shapes whose fields may be at a place."""
    if not place:
        yield shape
        return
    for name, field in shape.model_fields.items():
        if (field.alias or name) == place[0]:
            yield from _inside(field.annotation, place[1:])


def _inside(annotation: Any, place: list[str | int]) -> Iterator[type[Shape]]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _inside(inner[0], place)
    elif origin in (Union, UnionType):
        for each in inner:
            yield from _inside(each, place)
    elif origin in (list, dict):
        yield from _inside(inner[-1], place[1:])
    elif isinstance(annotation, type) and issubclass(annotation, Shape):
        yield from _reached(annotation, place)


def _shapes(annotation: Any) -> Iterator[type[Shape]]:
    """Yield the shapes in a type."""
    if isinstance(annotation, type):
        if annotation is not NoneType and issubclass(annotation, Shape):
            yield annotation
        return
    for each in get_args(annotation):
        yield from _shapes(each)
