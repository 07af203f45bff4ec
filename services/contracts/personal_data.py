"""Says which fields hold personal data, from the options of each field."""

from collections.abc import Iterator
from typing import Any

from bp.policy.v1 import policy_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

_PERSONAL_DATA: Any = policy_pb2.personal_data


def personal_fields(method: MethodDescriptor) -> frozenset[str]:
    """Return the full names of the personal fields that a method's messages can hold."""
    seen: set[str] = set()
    return frozenset(
        name for side in (method.input_type, method.output_type) for name in _personal(side, seen)
    )


def is_personal(field: FieldDescriptor) -> bool:
    """Tell whether a field must not be logged: personal_data or debug_redact is set."""
    options = field.GetOptions()
    return bool(options.debug_redact) or bool(options.Extensions[_PERSONAL_DATA])


def _personal(message: Descriptor, seen: set[str]) -> Iterator[str]:
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    for field in message.fields:
        if is_personal(field):
            yield field.full_name
        if field.message_type is not None:
            yield from _personal(field.message_type, seen)
