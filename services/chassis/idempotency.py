"""Fingerprints: two requests are the same when message type and payload are equal."""

import hashlib

from google.protobuf.message import Message


def fingerprint(request: Message) -> bytes:
    """Return the SHA-256 of the request's type and payload, 32 bytes."""
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + request.SerializeToString(deterministic=True)).digest()
