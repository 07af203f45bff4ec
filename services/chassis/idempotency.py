"""Fingerprints: two requests are the same when message type and payload are equal.

The contract says which fields are UUIDs. RFC 9562 allows upper and lower case in a UUID, and
some platforms write upper case. So a fingerprint is computed from the lowercase form.
"""

import hashlib
from functools import lru_cache
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_RULES: Any = validate_pb2.field


def fingerprint(request: Message) -> bytes:
    """Return the SHA-256 of the request's type and payload, 32 bytes."""
    return _digest(_canonical(request))


def former_fingerprint(request: Message) -> bytes | None:
    """Return the fingerprint that versions before 2026-12 stored for a request with uppercase
    UUIDs: the fingerprint of the request as it was sent. None for all other requests, because
    theirs is the same. This function may be deleted 400 days after the last process of such a
    version has ended, because the keys of that version are forgotten then.
    """
    return None if _canonical(request) is request else _digest(request)


def _digest(request: Message) -> bytes:
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + request.SerializeToString(deterministic=True)).digest()


def _canonical(request: Message) -> Message:
    """Return the request with its UUIDs in small letters; a copy only if one has capitals."""
    fields = _uuid_fields(request.DESCRIPTOR)
    if all(getattr(request, name) == getattr(request, name).lower() for name in fields):
        return request
    copy = type(request).FromString(request.SerializeToString())
    for name in fields:
        setattr(copy, name, getattr(copy, name).lower())
    return copy


@lru_cache
def _uuid_fields(message: Descriptor) -> tuple[str, ...]:
    """Return the names of a request's own fields that the contract declares as UUIDs."""
    return tuple(field.name for field in message.fields if _is_uuid(field))


def _is_uuid(field: FieldDescriptor) -> bool:
    rules = field.GetOptions().Extensions[_RULES]
    return rules.string.uuid and not field.is_repeated
