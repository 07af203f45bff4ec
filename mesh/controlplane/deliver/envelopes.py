"""Discovery requests and responses of Envoy's xDS protocol, as bytes and as plain values.

Only the fields that the control plane reads or writes are declared, with the numbers of
`envoy/service/discovery/v3/discovery.proto`. Protobuf's runtime skips all others, such as the
extensions of a node. The messages are in a private pool, so they conflict with no other copy. A
response is built from resources that are already bytes; equal responses are built once.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from mesh.controlplane.deliver.packed import Kind, Packed

CACHED_RESPONSES_MAX = 256
"""Enough for the routes of 100 services, which their instances share, and for the other kinds."""
_PACKAGE = "bp.discovery"
_TEXT, _BYTES, _NUMBER = "string", "bytes", "int32"
_SCALARS = {
    _TEXT: FieldDescriptorProto.TYPE_STRING,
    _BYTES: FieldDescriptorProto.TYPE_BYTES,
    _NUMBER: FieldDescriptorProto.TYPE_INT32,
}
# Message, then its fields as (name, number, type, repeated).
_MESSAGES: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "Any": (("type_url", 1, _TEXT, False), ("value", 2, _BYTES, False)),
    "Status": (("code", 1, _NUMBER, False), ("message", 2, _TEXT, False)),
    "Node": (("id", 1, _TEXT, False), ("cluster", 2, _TEXT, False)),
    "Version": (("key", 1, _TEXT, False), ("value", 2, _TEXT, False)),
    # A cluster, of which only the name is read.
    "Named": (("name", 1, _TEXT, False),),
    "Resource": (
        ("version", 1, _TEXT, False),
        ("resource", 2, "Any", False),
        ("name", 3, _TEXT, False),
    ),
    "DeltaDiscoveryRequest": (
        ("node", 1, "Node", False),
        ("type_url", 2, _TEXT, False),
        ("resource_names_subscribe", 3, _TEXT, True),
        ("resource_names_unsubscribe", 4, _TEXT, True),
        ("initial_resource_versions", 5, "Version", True),
        ("response_nonce", 6, _TEXT, False),
        ("error_detail", 7, "Status", False),
    ),
    "DeltaDiscoveryResponse": (
        ("system_version_info", 1, _TEXT, False),
        ("resources", 2, "Resource", True),
        ("type_url", 4, _TEXT, False),
        ("nonce", 5, _TEXT, False),
        ("removed_resources", 6, _TEXT, True),
    ),
    "DiscoveryRequest": (
        ("version_info", 1, _TEXT, False),
        ("node", 2, "Node", False),
        ("resource_names", 3, _TEXT, True),
        ("type_url", 4, _TEXT, False),
        ("response_nonce", 5, _TEXT, False),
        ("error_detail", 6, "Status", False),
    ),
    "DiscoveryResponse": (
        ("version_info", 1, _TEXT, False),
        ("resources", 2, "Any", True),
        ("type_url", 4, _TEXT, False),
        ("nonce", 5, _TEXT, False),
    ),
}
_KINDS = {kind.value: kind for kind in Kind}


class MalformedRequest(ValueError):
    """The client sent bytes that are no discovery request, or a kind that is not delivered."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a client. A first request has neither a nonce nor an error.

    `node` is empty in all but the first request of a stream. `subscribe` has all names that the
    client wants now (state of the world), or the added ones (delta). `held` has the versions of the
    resources that a reconnected delta client already has; `version` is that of a state-of-the-world
    client. `error` is Envoy's text if the client refuses a response, otherwise None.
    """

    kind: Kind
    node: str = ""
    nonce: str = ""
    error: str | None = None
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict[str, str])
    version: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A response to a client; `version` is for state of the world, `removed` for delta."""

    kind: Kind
    nonce: str
    resources: tuple[Packed, ...]
    removed: tuple[str, ...] = ()
    version: str = ""


@cache
def _classes() -> Mapping[str, type[Any]]:
    pool = DescriptorPool()
    file = FileDescriptorProto(name="bp/discovery.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        made = DescriptorProto(name=name)
        for each in fields:
            made.field.append(_field(*each))
        file.message_type.append(made)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


def _field(name: str, number: int, kind: str, repeated: bool) -> FieldDescriptorProto:
    label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
    made = FieldDescriptorProto(name=name, number=number, label=label)
    if kind in _SCALARS:
        made.type = _SCALARS[kind]
    else:
        made.type, made.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    return made


def message(name: str, **fields: Any) -> Message:
    """Return a message of this pool, by its name in `discovery.proto`."""
    return _classes()[name](**fields)


def _parsed(name: str, data: bytes) -> Any:
    try:
        return _classes()[name].FromString(data)
    except DecodeError as error:
        raise MalformedRequest(f"the bytes are no {name}") from error


def _kind(type_url: str) -> Kind:
    if (found := _KINDS.get(type_url)) is None:
        raise MalformedRequest(f"{type_url or 'an empty type'} is not delivered")
    return found


def _error(status: Any) -> str:
    return str(status.message) or f"code {status.code}"


def delta_request(data: bytes) -> Request:
    """Parse a DeltaDiscoveryRequest. Raises MalformedRequest."""
    got = _parsed("DeltaDiscoveryRequest", data)
    return Request(
        kind=_kind(got.type_url),
        node=got.node.id,
        nonce=got.response_nonce,
        error=_error(got.error_detail) if got.HasField("error_detail") else None,
        subscribe=tuple(got.resource_names_subscribe),
        unsubscribe=tuple(got.resource_names_unsubscribe),
        held={each.key: each.value for each in got.initial_resource_versions},
    )


def sotw_request(data: bytes) -> Request:
    """Parse a DiscoveryRequest (state of the world). Raises MalformedRequest."""
    got = _parsed("DiscoveryRequest", data)
    return Request(
        kind=_kind(got.type_url),
        node=got.node.id,
        nonce=got.response_nonce,
        error=_error(got.error_detail) if got.HasField("error_detail") else None,
        subscribe=tuple(got.resource_names),
        version=got.version_info,
    )


def named_resources(data: bytes) -> dict[str, bytes]:
    """Return the clusters of a DiscoveryResponse by name. Raises MalformedRequest."""
    values = [bytes(each.value) for each in _parsed("DiscoveryResponse", data).resources]
    return {str(_parsed("Named", each).name): each for each in values}


_Key = tuple[str, Kind, tuple[int, ...], tuple[str, ...], str]


class Encoder:
    """Encodes responses, and shares the bytes of equal ones among clients.

    Only the nonce differs between them. It is a field of its own, so it is appended: the order of
    the fields in a message does not matter. Responses are equal if they have the same resources,
    as objects: nodes share these. The cache is bounded; the least recently used response leaves it.
    """

    def __init__(self, cached_max: int = CACHED_RESPONSES_MAX) -> None:
        self._cached_max = cached_max
        # A resource in the cache exists, so no other has its id.
        self._cached: OrderedDict[_Key, tuple[bytes, tuple[Packed, ...]]] = OrderedDict()
        self.built = 0

    def delta(self, response: Response) -> bytes:
        """Return the bytes of a DeltaDiscoveryResponse."""
        return self._body("delta", response, _delta_body) + _delta_nonce(response.nonce)

    def sotw(self, response: Response) -> bytes:
        """Return the bytes of a DiscoveryResponse (state of the world)."""
        return self._body("sotw", response, _sotw_body) + _sotw_nonce(response.nonce)

    def _body(self, form: str, response: Response, build: Callable[[Response], bytes]) -> bytes:
        ids = tuple(map(id, response.resources))
        key = (form, response.kind, ids, response.removed, response.version)
        if (known := self._cached.get(key)) is not None:
            self._cached.move_to_end(key)
            return known[0]
        self.built += 1
        body = build(response)
        self._cached[key] = body, response.resources
        if len(self._cached) > self._cached_max:
            self._cached.popitem(last=False)
        return body


@lru_cache(maxsize=1_000)
def _delta_nonce(nonce: str) -> bytes:
    return message("DeltaDiscoveryResponse", nonce=nonce).SerializeToString()


@lru_cache(maxsize=1_000)
def _sotw_nonce(nonce: str) -> bytes:
    return message("DiscoveryResponse", nonce=nonce).SerializeToString()


def _delta_body(response: Response) -> bytes:
    url = response.kind.value
    return message(
        "DeltaDiscoveryResponse",
        type_url=url,
        resources=[
            {
                "name": each.name,
                "version": each.version,
                "resource": {"type_url": url, "value": each.body},
            }
            for each in response.resources
        ],
        removed_resources=response.removed,
    ).SerializeToString()


def _sotw_body(response: Response) -> bytes:
    url = response.kind.value
    return message(
        "DiscoveryResponse",
        type_url=url,
        version_info=response.version,
        resources=[{"type_url": url, "value": each.body} for each in response.resources],
    ).SerializeToString()
