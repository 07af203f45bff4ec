"""What makes two requests the same: a digest of the whole payload under the method's name."""

import hashlib

from google.protobuf.message import Message


def fingerprint(request: Message) -> bytes:
    """Return SHA-256 over the request; 32 bytes, equal exactly for equal payloads."""
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + request.SerializeToString(deterministic=True)).digest()
