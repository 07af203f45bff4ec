"""The violations of a request's rules in the words that its caller reads.

protovalidate's own messages contain regular expressions and the numbers of enum values. The words
for these come from the contract.
"""

from typing import Any, cast

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from services.contracts.rule_texts import enum_text, rule_text
from services.kernel.errors import FieldViolation

_NOT_SET = {"required", "string.uuid_empty", "string.min_len"}
"""The shortest length of a text is never more than one character, so only an empty text breaks it.
"""


def violations_of(request: Message) -> list[FieldViolation]:
    """Return every field that violates the schema, with its path in lowerCamelCase."""
    found = protovalidate.collect_violations(request)
    message = cast("Descriptor", request.DESCRIPTOR)
    return [FieldViolation(_path(each), _description(message, each)) for each in found]


def _path(violation: Any) -> str:
    elements = violation.proto.field.elements
    # The name of a oneof has no number: it is not in the caller's JSON.
    names = [element.field_name for element in elements if element.field_number]
    return ".".join(
        head + "".join(word.capitalize() for word in rest)
        for head, *rest in (name.split("_") for name in names)
    )


def _description(message: Descriptor, violation: Any) -> str:
    rule, field = violation.proto.rule_id, _field(message, violation)
    if isinstance(field, OneofDescriptor):
        return f"must have one of {', '.join(each.camelcase_name for each in field.fields)}"
    if field is None:
        return violation.proto.message
    if _is_absent(rule, violation):
        return "is required"
    if rule in {"enum.not_in", "enum.defined_only"}:
        return enum_text(field)
    if rule == "string.pattern":
        return rule_text(field) or violation.proto.message
    return violation.proto.message


def _is_absent(rule: str, violation: Any) -> bool:
    return rule in _NOT_SET or (rule == "enum.not_in" and violation.field_value == 0)


def _field(message: Descriptor | None, violation: Any) -> FieldDescriptor | OneofDescriptor | None:
    """Return the field or oneof that the violation's path leads to; None for a rule of a whole
    message."""
    field = None
    for element in violation.proto.field.elements:
        if message is None:
            return None
        if not element.field_number:
            return message.oneofs_by_name[element.field_name]
        field = message.fields_by_number[element.field_number]
        message = field.message_type
    return field
