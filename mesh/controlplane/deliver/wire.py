"""Puts packed messages into others without reading them: the bytes of a field are enough.

Protobuf merges a field that occurs twice, and the last value of a scalar applies. So a name is
changed by appending another one.
"""

_LENGTH_DELIMITED = 2
_BITS = 7
_MORE = 0x80


def nested(number: int, content: bytes) -> bytes:
    """Return a field that holds a message or a text."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= _MORE:
        found.append(value & (_MORE - 1) | _MORE)
        value >>= _BITS
    return bytes([*found, value])
