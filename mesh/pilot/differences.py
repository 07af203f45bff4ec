"""How the resources of proxies differ: which ones, and in which fields.

A reviewer of an edit sees only this, so no difference may be hidden: elements of a list that
share a name have different labels, and long values are compared as a whole.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import betterproto2
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import TypedExtensionConfig
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import RouteConfiguration
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret

from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, Packed
from mesh.controlplane.deliver.snapshot import well_named

_CLASSES: dict[Kind, type[betterproto2.Message]] = {
    Kind.SECRET: Secret,
    Kind.CLUSTER: Cluster,
    Kind.ENDPOINTS: ClusterLoadAssignment,
    Kind.LISTENER: Listener,
    Kind.ROUTES: RouteConfiguration,
    Kind.EXTENSION: TypedExtensionConfig,
}
_NAMED_BY = ("name", "key", "cluster_name", "stat_prefix")
"""Fields that identify an element of a list; other elements are identified by their position."""
VALUE_CHARS_MAX = 120
_SAME_BEFORE = 40
"""How much of a long value is shown before the place where it differs."""
WHOLE = "(the whole resource)"
"""The path of a difference in a field that this program does not know."""


class What(StrEnum):
    """What happens to a resource."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Field:
    """One field that differs. None means that it is absent; `path` has Envoy's field names."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """One resource of one proxy that differs."""

    node: str
    kind: Kind
    name: str
    what: What
    fields: tuple[Field, ...]


def differences(
    before: Mapping[str, NodeSnapshot], after: Mapping[str, NodeSnapshot]
) -> list[Change]:
    """Return all changes, by proxy, kind and name. Equal resources are decoded only once."""
    known: dict[tuple[str, str], tuple[Field, ...]] = {}
    found: list[Change] = []
    for node in sorted(before.keys() | after.keys()):
        for old, new in _pairs(before.get(node), after.get(node)):
            shown = new or old
            if shown is None:
                continue
            key = (old.version if old else "", new.version if new else "")
            if key not in known:
                known[key] = _fields(old, new)
            found.append(Change(node, shown.kind, shown.name, _what(old, new), known[key]))
    return found


def decoded(resource: Packed) -> dict[str, Any]:
    """Return a resource as JSON, with the field names of Envoy's .proto files."""
    message = _CLASSES[resource.kind].parse(resource.body)
    return well_named(message.to_dict(casing=betterproto2.Casing.SNAKE))


def _pairs(
    before: NodeSnapshot | None, after: NodeSnapshot | None
) -> Iterator[tuple[Packed | None, Packed | None]]:
    for kind in Kind:
        old = before.resources[kind] if before else {}
        new = after.resources[kind] if after else {}
        for name in sorted(old.keys() | new.keys()):
            pair = old.get(name), new.get(name)
            if pair[0] is None or pair[1] is None or pair[0].version != pair[1].version:
                yield pair


def _what(old: Packed | None, new: Packed | None) -> What:
    if old is None:
        return What.ADDED
    return What.REMOVED if new is None else What.CHANGED


def _fields(old: Packed | None, new: Packed | None) -> tuple[Field, ...]:
    if old is None or new is None:
        return ()
    before, after = dict(_leaves(decoded(old))), dict(_leaves(decoded(new)))
    found = tuple(
        Field(path, *_shown(before.get(path), after.get(path)))
        for path in [*before, *(path for path in after if path not in before)]
        if before.get(path) != after.get(path)
    )
    return found or (Field(WHOLE, f"version {old.version}", f"version {new.version}"),)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for label, inner in _labelled(value):
            yield from _leaves(inner, f"{path}[{label}]")
    else:
        yield path, str(value)


def _labelled(elements: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield each element with a label that no other one has: its name, with a number if the name
    is not the first of its kind, or its position."""
    seen = Counter[str]()
    for index, element in enumerate(elements):
        label = _label(element, index)
        seen[label] += 1
        yield label if seen[label] == 1 else f"{label} #{seen[label]}", element


def _label(element: Any, index: int) -> str:
    if isinstance(element, dict):
        for key in _NAMED_BY:
            if isinstance(name := element.get(key), str) and name:
                return name
    return str(index)


def _shown(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Return both values, long ones from shortly before the place where they differ."""
    begin = 0
    if before is not None and after is not None:
        same = _same(before, after)
        longest = max(len(before), len(after))
        begin = max(0, same - _SAME_BEFORE) if longest > VALUE_CHARS_MAX else 0
    return _excerpt(before, begin), _excerpt(after, begin)


def _same(one: str, other: str) -> int:
    """Return how many characters at the beginning are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _excerpt(text: str | None, begin: int) -> str | None:
    if text is None:
        return None
    end = begin + VALUE_CHARS_MAX
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if len(text) > end else ''}"
