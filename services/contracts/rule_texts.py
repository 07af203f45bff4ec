"""The rules of a request's fields in words, for callers: the option `rule_text` and enum names."""

from collections.abc import Collection
from typing import Any

from bp.policy.v1 import policy_pb2
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

# The stubs type a generated extension as a plain field descriptor, which the accessors of options
# do not accept.
_RULE_TEXT: Any = policy_pb2.rule_text
_RULES: Any = validate_pb2.field


def rule_text(field: FieldDescriptor) -> str:
    """Return the field's rule in words; "" if the contract has none."""
    return field.GetOptions().Extensions[_RULE_TEXT]


def integer_text(field: FieldDescriptor) -> str:
    """Return the integer's rule in words, without a range."""
    return rule_text(field) or "must be an integer"


def range_text(field: FieldDescriptor, lowest: int, highest: int) -> str:
    """Return the integer's rule with its range: the limits of its type, or its own `gte`."""
    of_field = field.GetOptions().Extensions[_RULES]
    rules = of_field.repeated.items if field.is_repeated else of_field
    kind = rules.WhichOneof("type")
    own = getattr(rules, kind) if kind else None
    low = own.gte if own is not None and own.HasField("gte") else lowest
    return f"{integer_text(field)} from {low} to {highest}"


def object_text(message: Descriptor) -> str:
    """Return which fields an object of this message has, by their names in JSON."""
    *others, last = [field.json_name for field in message.fields] or [""]
    names = f"{', '.join(others)} and {last}" if others else last
    return f"must be an object with {names}" if last else "must be an object"


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
