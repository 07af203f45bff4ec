"""JSON schemas of protobuf messages, from proto3's JSON mapping and buf.validate.

A message has two forms. The form for responses describes what the bank writes; it may get new
fields. The form for requests describes what the gateway accepts: no unknown fields, int64 as text
or number, and null for optional fields.
"""

from collections.abc import Collection
from typing import Any

from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.openapi.comments import Comments

_BEHAVIOR: Any = field_behavior_pb2.field_behavior
_RULES: Any = validate_pb2.field
_INT64 = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
}
_WELL_KNOWN: dict[str, dict[str, Any]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?\d+(\.\d+)?s$"},
    "google.protobuf.Empty": {"type": "object"},
}


class Schemas:
    """Collects the messages and enums that the document refers to."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self._components: dict[str, dict[str, Any]] = {}

    def components(self) -> dict[str, dict[str, Any]]:
        """Return the collected schemas, by name."""
        return dict(sorted(self._components.items()))

    def reference(self, message: Descriptor) -> dict[str, Any]:
        """Return a reference to a message of a response, and collect it."""
        return self._reference(message, _component(message), taken=False)

    def body(self, message: Descriptor, without: set[str]) -> dict[str, Any]:
        """Return the schema of a body: a message without the fields that are in the path."""
        if without:
            return self._object(message, without, taken=True)
        return self._reference(message, _component(message), taken=True)

    def parameter(self, field: FieldDescriptor, place: str, *, required: bool) -> dict[str, Any]:
        """Return a path or query parameter; its value is always text."""
        schema = self._value(field, taken=True)
        if field.type in _INT64:
            schema = _int64_text(field)
        return {
            "name": field.json_name,
            "in": place,
            "required": required,
            "description": self._comments.of(field.full_name),
            "schema": schema,
        }

    def is_required(self, field: FieldDescriptor) -> bool:
        """Return whether a request must have the field: it is REQUIRED or its zero is invalid."""
        options = field.GetOptions()
        behaviors, rules = options.Extensions[_BEHAVIOR], options.Extensions[_RULES]
        unset_is_refused = field.enum_type is not None and 0 in rules.enum.not_in
        return field_behavior_pb2.REQUIRED in behaviors or rules.required or unset_is_refused

    def _reference(self, message: Descriptor, name: str, *, taken: bool) -> dict[str, Any]:
        if message.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.full_name])
        if name not in self._components:
            self._components[name] = {}
            self._components[name] = self._object(message, set(), taken=taken)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, message: Descriptor, without: set[str], *, taken: bool) -> dict[str, Any]:
        fields = [field for field in message.fields if field.name not in without]
        schema: dict[str, Any] = {
            "type": "object",
            "description": self._comments.of(message.full_name),
            "properties": {field.json_name: self._property(field, taken=taken) for field in fields},
        }
        required = [field.json_name for field in fields if self.is_required(field)]
        if required:
            schema["required"] = required
        if taken:
            schema["additionalProperties"] = False
        return schema

    def _property(self, field: FieldDescriptor, *, taken: bool) -> dict[str, Any]:
        value = self._value(field, taken=taken)
        if field.is_repeated:
            value = {"type": "array", "items": value}
        if taken and not self.is_required(field):
            value = _or_null(value)
        description: dict[str, Any] = {"description": self._comments.of(field.full_name)}
        if field_behavior_pb2.OUTPUT_ONLY in field.GetOptions().Extensions[_BEHAVIOR]:
            description["readOnly"] = True
        return {**value, **description}

    def _value(self, field: FieldDescriptor, *, taken: bool) -> dict[str, Any]:
        if field.message_type is not None:
            name = _component(field.message_type) + ("Input" if taken else "")
            return self._reference(field.message_type, name, taken=taken)
        if field.enum_type is not None:
            return self._enum(field.enum_type, _rules(field).enum.not_in if taken else ())
        return {**_scalar(field, taken=taken), **_limits(field)}

    def _enum(self, enum: EnumDescriptor, refused: Collection[int]) -> dict[str, Any]:
        if refused:
            return {
                "type": "string",
                "enum": [v.name for v in enum.values if v.number not in refused],
            }
        lines = [
            f"{v.name}: {self._comments.of(f'{enum.full_name}.{v.name}')}" for v in enum.values
        ]
        name = _component(enum)
        self._components[name] = {
            "type": "string",
            "enum": [value.name for value in enum.values],
            "description": "\n".join([self._comments.of(enum.full_name), *lines]),
        }
        return {"$ref": f"#/components/schemas/{name}"}


def _component(element: Descriptor | EnumDescriptor) -> str:
    parts = [element.name]
    outer = element.containing_type
    while outer is not None:
        parts.insert(0, outer.name)
        outer = outer.containing_type
    return "".join(parts)


def _or_null(value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in value:
        return {"anyOf": [value, {"type": "null"}]}
    kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
    return {**value, "type": [*kinds, "null"]}


def _rules(field: FieldDescriptor) -> validate_pb2.FieldRules:
    return field.GetOptions().Extensions[_RULES]


def _int64_text(field: FieldDescriptor) -> dict[str, Any]:
    """Allow 18 digits: no simple pattern excludes 19-digit overflows, and no field needs 19."""
    sign = "-?" if _lowest(field) < 0 else ""
    return {"type": "string", "format": "int64", "pattern": f"^{sign}(0|[1-9][0-9]{{0,17}})$"}


def _int64(field: FieldDescriptor) -> dict[str, Any]:
    limits = {"minimum": _lowest(field), "maximum": 2**63 - 1}
    return {**_int64_text(field), "type": ["string", "integer"], **limits}


def _lowest(field: FieldDescriptor) -> int:
    rules = _rules(field).int64
    return rules.gte if rules.HasField("gte") else -(2**63)


def _scalar(field: FieldDescriptor, *, taken: bool) -> dict[str, Any]:
    if field.type in _INT64:
        answered = {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
        return _int64(field) if taken else answered
    if field.type == FieldDescriptor.TYPE_BOOL:
        return {"type": "boolean"}
    if field.type == FieldDescriptor.TYPE_BYTES:
        return {"type": "string", "contentEncoding": "base64"}
    if field.type == FieldDescriptor.TYPE_STRING:
        return {"type": "string"}
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return {"type": "number"}
    return {"type": "integer", "format": "int32"}


def _limits(field: FieldDescriptor) -> dict[str, Any]:
    rules = _rules(field)
    found: dict[str, Any] = {}
    if rules.HasField("string"):
        text = rules.string
        if text.uuid:
            found["format"] = "uuid"
        if text.HasField("min_len"):
            found["minLength"] = text.min_len
        if text.HasField("max_len"):
            found["maxLength"] = text.max_len
        if text.HasField("pattern"):
            found["pattern"] = text.pattern
    if rules.HasField("int32"):
        if rules.int32.HasField("gte"):
            found["minimum"] = rules.int32.gte
        if rules.int32.HasField("lte"):
            found["maximum"] = rules.int32.lte
    return found
