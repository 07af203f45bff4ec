"""Print buf/validate/validate.proto from the descriptor that the protovalidate wheel carries.

The wheel ships no .proto source, and buf needs one to build without a network. Only what
proto2 editions of that one file use is printed; comments are not in a descriptor.
Run: python third_party/print_proto.py > third_party/buf/validate/validate.proto
"""

import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

SCALARS = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in Field.Type.items()
    if name not in {"TYPE_MESSAGE", "TYPE_ENUM", "TYPE_GROUP"}
}
LABELS = {1: "optional ", 2: "required ", 3: "repeated "}


def file_bytes() -> bytes:
    """Return the serialised FileDescriptorProto out of the wheel."""
    # The imports load the well-known types that the file depends on into the default pool.
    from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2  # noqa: F401
    from protovalidate._gen.buf.validate import validate_pb

    return bytes(validate_pb.desc().proto.to_binary())


def options(parent: object) -> str:
    """Render field options, extensions included, as `[...]` or nothing."""
    parts: list[str] = []
    for descriptor, value in parent.ListFields():  # type: ignore[attr-defined]
        name = f"({descriptor.full_name})" if descriptor.is_extension else descriptor.name
        if descriptor.message_type is not None:
            values = value if descriptor.is_repeated else [value]
            for one in values:
                parts.append(f"{name} = {{{text_format.MessageToString(one, as_one_line=True)}}}")
        elif descriptor.enum_type is not None:
            parts.append(f"{name} = {descriptor.enum_type.values_by_number[value].name}")
        else:
            parts.append(f"{name} = {str(value).lower()}")
    return f" [{', '.join(parts)}]" if parts else ""


def print_field(field: Field, indent: str, in_oneof: bool) -> str:
    """Render one field line."""
    kind = field.type_name or SCALARS[field.type]
    label = "" if in_oneof else LABELS[field.label]
    return f"{indent}{label}{kind} {field.name} = {field.number}{options(field.options)};"


def print_message(message: descriptor_pb2.DescriptorProto, indent: str = "") -> list[str]:
    """Render a message with its oneofs, nested enums and extension ranges."""
    inner = indent + "  "
    lines = [f"{indent}message {message.name} {{"]
    for enum in message.enum_type:
        lines += print_enum(enum, inner)
    for nested in message.nested_type:
        lines += print_message(nested, inner)
    for index, oneof in enumerate(message.oneof_decl):
        lines.append(f"{inner}oneof {oneof.name} {{")
        members = [f for f in message.field if f.HasField("oneof_index") and f.oneof_index == index]
        lines += [print_field(f, inner + "  ", True) for f in members]
        lines.append(f"{inner}}}")
    plain = [f for f in message.field if not f.HasField("oneof_index")]
    lines += [print_field(f, inner, False) for f in plain]
    for span in message.extension_range:
        end = "max" if span.end > 536870000 else span.end - 1
        lines.append(f"{inner}extensions {span.start} to {end};")
    for span in message.reserved_range:
        lines.append(f"{inner}reserved {span.start} to {span.end - 1};")
    for name in message.reserved_name:
        lines.append(f'{inner}reserved "{name}";')
    return [*lines, f"{indent}}}"]


def print_enum(enum: descriptor_pb2.EnumDescriptorProto, indent: str = "") -> list[str]:
    """Render an enum."""
    lines = [f"{indent}enum {enum.name} {{"]
    lines += [f"{indent}  {value.name} = {value.number};" for value in enum.value]
    return [*lines, f"{indent}}}"]


def main() -> None:
    """Print the whole file."""
    raw = file_bytes()
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(raw)
    for extension in pool.FindAllExtensions(pool.FindMessageTypeByName("google.protobuf.FieldOptions")):
        message_factory.GetMessageClassesForFiles([extension.file.name], pool)
    file = descriptor_pb2.FileDescriptorProto.FromString(raw)
    out = [f'syntax = "{file.syntax or "proto2"}";', f"package {file.package};"]
    out += [f'import "{name}";' for name in file.dependency]
    for enum in file.enum_type:
        out += print_enum(enum)
    for message in file.message_type:
        out += print_message(message)
    for extendee in dict.fromkeys(e.extendee for e in file.extension):
        out.append(f"extend {extendee} {{")
        out += [print_field(e, "  ", False) for e in file.extension if e.extendee == extendee]
        out.append("}")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
