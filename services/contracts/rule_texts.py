"""The rules of a request's fields in words, for callers: the option `rule_text` and enum names."""

from collections.abc import Collection
from typing import Any

from bp.policy.v1 import policy_pb2
from buf.validate import validate_pb2
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

# The stubs type a generated extension as a plain field descriptor, which the accessors of options
# do not accept.
_RULE_TEXT: Any = policy_pb2.rule_text
_RULES: Any = validate_pb2.field


def rule_text(field: FieldDescriptor) -> str:
    """Return the field's rule in words; "" if the contract has none."""
    return field.GetOptions().Extensions[_RULE_TEXT]


def enum_text(field: FieldDescriptor) -> str:
    """Return which names of its enum the field may have; the zero value means that it is not set.

    Raises TypeError for a field that is not an enum.
    """
    if field.enum_type is None:
        raise TypeError(f"{field.full_name} is not an enum")
    refused: Collection[int] = field.GetOptions().Extensions[_RULES].enum.not_in
    return f"must be one of {', '.join(_names(field.enum_type, refused))}"


def _names(enum: EnumDescriptor, refused: Collection[int]) -> list[str]:
    return [value.name for value in enum.values if value.number and value.number not in refused]
