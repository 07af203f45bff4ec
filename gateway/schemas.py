"""JSON schemas of protobuf messages, as proto3's JSON mapping and buf.validate have them."""

from typing import Any

from buf.validate import validate_pb2
from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.comments import Comments

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
    """Collects the messages and enums that the document names."""

    def __init__(self, comments: Comments) -> None:
        self._comments = comments
        self._components: dict[str, dict[str, Any]] = {}

    def components(self) -> dict[str, dict[str, Any]]:
        """Return what was collected, by name."""
        return dict(sorted(self._components.items()))

    def reference(self, message: Descriptor) -> dict[str, Any]:
        """Return a reference to a message, and collect it."""
        if message.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.full_name])
        name = _component(message)
        if name not in self._components:
            self._components[name] = {}
            self._components[name] = self._object(message, set())
        return {"$ref": f"#/components/schemas/{name}"}

    def body(self, message: Descriptor, without: set[str]) -> dict[str, Any]:
        """Return the schema of a body: a message less the fields that the path holds."""
        if without:
            return {**self._object(message, without), "additionalProperties": False}
        reference = self.reference(message)
        self._components[_component(message)]["additionalProperties"] = False
        return reference

    def parameter(self, field: FieldDescriptor, place: str, *, required: bool) -> dict[str, Any]:
        """Return a path or query parameter."""
        return {
            "name": field.json_name,
            "in": place,
            "required": required,
            "description": self._comments.of(field.full_name),
            "schema": self._value(field),
        }

    def is_required(self, field: FieldDescriptor) -> bool:
        """Tell whether the contract marks a field as required."""
        options = field.GetOptions()
        behaviors = options.Extensions[_BEHAVIOR]
        return field_behavior_pb2.REQUIRED in behaviors or options.Extensions[_RULES].required

    def _object(self, message: Descriptor, without: set[str]) -> dict[str, Any]:
        fields = [field for field in message.fields if field.name not in without]
        schema: dict[str, Any] = {
            "type": "object",
            "description": self._comments.of(message.full_name),
            "properties": {field.json_name: self._property(field) for field in fields},
        }
        required = [field.json_name for field in fields if self.is_required(field)]
        if required:
            schema["required"] = required
        return schema

    def _property(self, field: FieldDescriptor) -> dict[str, Any]:
        value = self._value(field)
        if field.is_repeated:
            value = {"type": "array", "items": value}
        return {**value, "description": self._comments.of(field.full_name)}

    def _value(self, field: FieldDescriptor) -> dict[str, Any]:
        if field.message_type is not None:
            return self.reference(field.message_type)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return {**_scalar(field), **_limits(field)}

    def _enum(self, enum: EnumDescriptor) -> dict[str, Any]:
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


def _scalar(field: FieldDescriptor) -> dict[str, Any]:
    if field.type in _INT64:
        return {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
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
    rules: validate_pb2.FieldRules = field.GetOptions().Extensions[_RULES]
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
