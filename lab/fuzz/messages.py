"""Generates requests of any RPC from its descriptor: valid, hostile, and malformed ones.

The result is the bytes on the wire. Each request may hold ids of a real customer, so that many
requests get past the first checks and reach the SQL.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from lab.fuzz.log_leaks import PAYEE_ACCOUNT, PAYEE_NAME

Ids = Mapping[str, Sequence[str]]
"""Name of a field -> ids of existing objects of the caller, and the caller's own secrets."""

LONG_CHARS = 65_536
DEPTH_MAX = 4

_INT64, _INT32 = 2**63 - 1, 2**31 - 1
_INTEGERS = st.sampled_from([0, 1, -1, 100, 2_500, _INT32, -_INT32 - 1, 9_999_999_999])
_LARGE = st.sampled_from([_INT64, -_INT64 - 1, 10**18])
_HOSTILE = st.sampled_from(
    [
        "",
        "\0",
        "a\0b",
        "Bo\u202eRivera",
        "\u2066\u200b\ufeff",
        "e\u0301" * 40,
        "\U0001f600" * 80,
        "\uffff\ufffe",
        "';DROP TABLE ledger.entry;--",
        "$1{{7*7}}%s%n\\x00",
        "../../../../etc/passwd",
        "x" * LONG_CHARS,
        "\0" * LONG_CHARS,
        "0" * 4_000,
    ]
)
_WORDS = st.sampled_from(
    ["USD", "EUR", "usd", "021000021", "999999999", "123456", "Bo Rivera", "rent", "es"]
)
_UNKNOWN_NUMBERS = (99, -1, _INT32, -_INT32 - 1)
_AMOUNTS = {"minor_units": 100, "page_size": 10}
_FITTING = {
    "currency_code": "USD",
    "routing_number": "021000021",
    "account_number": PAYEE_ACCOUNT,
    "name": PAYEE_NAME,
    "page_token": "",
    "create_time_from": "2026-01-01T00:00:00Z",
    "create_time_to": "",
    "content_type": "application/json",
}
_WIRE_KINDS = {
    FieldDescriptor.CPPTYPE_INT32: 32,
    FieldDescriptor.CPPTYPE_INT64: 64,
    FieldDescriptor.CPPTYPE_UINT32: 32,
    FieldDescriptor.CPPTYPE_UINT64: 64,
}


def requests(descriptor: Descriptor, ids: Ids) -> st.SearchStrategy[bytes]:
    """Return the strategy of one method's requests on the wire."""
    shaped = _serialised(_messages(descriptor, ids, 0, hostile=True))
    sensible = _serialised(_messages(descriptor, ids, 0, hostile=False))
    tails = st.sampled_from([_UNKNOWN_FIELDS, b"\xff" * 12, b"\x0a\x05ab", b"\x0b" * 200])
    torn = st.tuples(shaped, st.integers(0, 80)).map(lambda pair: pair[0][: pair[1]])
    longer = st.tuples(shaped, tails).map(b"".join)
    hostile = (shaped, shaped, longer, torn, st.binary(max_size=300))
    return st.one_of(sensible, sensible, sensible, *hostile)


def _serialised(messages: st.SearchStrategy[Message]) -> st.SearchStrategy[bytes]:
    return messages.map(lambda message: message.SerializeToString())


# Fields 1999 and 2000, a number and a text, as a newer client could send them.
_UNKNOWN_FIELDS = b"\xf8\x7c\x07" + b"\x82\x7d\x03abc"


def _messages(
    descriptor: Descriptor, ids: Ids, depth: int, *, hostile: bool
) -> st.SearchStrategy[Message]:
    kind = message_factory.GetMessageClass(descriptor)
    fields = [field for field in descriptor.fields if depth < DEPTH_MAX or not field.message_type]

    @st.composite
    def drawn(draw: st.DrawFn) -> Message:
        message = kind()
        for field in fields:
            # Usually set, because a request without its required fields fails the first check.
            if not hostile or draw(st.integers(0, 7)):
                _fill(draw, message, field, _values(field, ids, depth, hostile=hostile))
        return message

    return drawn()


def _fill(
    draw: st.DrawFn, message: Message, field: FieldDescriptor, values: st.SearchStrategy[Any]
) -> None:
    if field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(values, max_size=3)))
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(draw(values))
    else:
        setattr(message, field.name, draw(values))


def _values(
    field: FieldDescriptor, ids: Ids, depth: int, *, hostile: bool
) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return _messages(field.message_type, ids, depth + 1, hostile=hostile)
    if field.enum_type is not None:
        known = [value.number for value in field.enum_type.values]
        # Zero is UNSPECIFIED, which a required enum field refuses at the first check.
        meant = [number for number in known if number] or known
        return st.sampled_from([*known, *_UNKNOWN_NUMBERS] if hostile else meant)
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=600)
        case FieldDescriptor.CPPTYPE_STRING:
            return _texts(field, ids) if hostile else _likely(field, ids)
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return st.floats(width=32)
        case _:
            return _integers(field) if hostile else st.just(_AMOUNTS.get(field.name, 0))


def _integers(field: FieldDescriptor) -> st.SearchStrategy[int]:
    bits = _WIRE_KINDS[field.cpp_type]
    unsigned = field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    drawn = st.one_of(_INTEGERS, _LARGE, st.integers(low, high))
    return drawn.map(lambda number: min(max(number, low), high))


def _texts(field: FieldDescriptor, ids: Ids) -> st.SearchStrategy[str]:
    free = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
    likely = _likely(field, ids)
    return st.one_of(likely, likely, likely, _WORDS, _HOSTILE, free)


def _likely(field: FieldDescriptor, ids: Ids) -> st.SearchStrategy[str]:
    """Return an existing id for an id field, and a value of a valid request for any other field."""
    known = ids.get(field.name, ())
    if not known and field.name.endswith("_id"):
        known = [one for name, some in ids.items() if name.endswith("_id") for one in some]
    if known:
        return st.sampled_from(known)
    return st.just(_FITTING.get(field.name, "rent"))
