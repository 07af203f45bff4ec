"""Envoy's resources as JSON values, from bytes or from messages.

The field names are those of the .proto files. A type that the bank's Envoy does not know, such as a
filter of Istio's own build, becomes its type URL alone.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import betterproto2
from envoy_data_plane.google import protobuf
from envoy_data_plane.message_pool import default_message_pool

Json = dict[str, Any]
_PREFIX = "type.googleapis.com/"


def decoded(type_url: str, body: bytes) -> Json:
    """Return one packed resource."""
    kind = _class_of(type_url)
    if kind is None:
        return {"@type": type_url}
    return {"@type": type_url, **plain(kind.parse(body))}


def plain(message: betterproto2.Message) -> Json:
    """Return a message; its packed parts are unpacked."""
    _know_all(message)
    return _well_named(message.to_dict(casing=betterproto2.Casing.SNAKE))


def _well_named(value: Any) -> Any:
    """Restore names such as consecutive_5xx, which the encoder splits around the digit."""
    if isinstance(value, dict):
        return {k.replace("_5_xx", "_5xx"): _well_named(v) for k, v in value.items()}
    return [_well_named(each) for each in value] if isinstance(value, list) else value


def _know_all(message: betterproto2.Message) -> None:
    """Import the classes of everything packed in a message; empty what has no class."""
    for each in _packed(message):
        kind = _class_of(each.type_url)
        if kind is None:
            each.type_url, each.value = f"{_PREFIX}google.protobuf.Empty", b""
        else:
            inner = kind.parse(each.value)
            _know_all(inner)
            each.value = bytes(inner)


def _packed(value: Any) -> Iterator[protobuf.Any]:
    if isinstance(value, protobuf.Any):
        if value.type_url:
            yield value
    elif isinstance(value, betterproto2.Message):
        for each in vars(value).values():
            yield from _packed(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _packed(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _packed(each)


def _class_of(type_url: str) -> type[betterproto2.Message] | None:
    if type_url not in default_message_pool.url_to_type:
        package = type_url.removeprefix(_PREFIX).rpartition(".")[0]
        try:
            importlib.import_module(f"envoy_data_plane.{package}")
        except ModuleNotFoundError:
            return None
    return default_message_pool.url_to_type.get(type_url)
