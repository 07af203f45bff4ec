"""The Lua source of the request check: tables from the contracts, then the files of Lua code.

Envoy's transcoder silently drops unknown JSON fields and accepts some wrong types. The tables list
what a body may contain, so that the Lua code can reject everything else.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.replies import INVALID_TOKEN, REPLIES, STEP_UP, status_json
from gateway.routes import BodyKind, GatewayRoute, gateway_routes
from services.contracts import Audience, HttpRoute, MethodContract
from services.contracts.rule_texts import (
    enum_text,
    integer_text,
    object_text,
    range_text,
    rule_text,
)

_FILES = ("media.lua", "claims.lua", "responses.lua", "strings.lua", "request_check.lua")
_CODE = tuple(Path(__file__).with_name(name) for name in _FILES)
_KINDS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_SINT32: "int32",
    FieldDescriptor.TYPE_SFIXED32: "int32",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_FIXED32: "uint32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_SINT64: "int64",
    FieldDescriptor.TYPE_SFIXED64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_FIXED64: "uint64",
}
_INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}
_STRINGS = {"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"}


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Values from the policy for the check of a customer's token."""

    lifetime_s: int
    """The longest remaining lifetime, with the tolerance for the issuer's clock."""
    skew_s: int
    """How long a token is accepted after its expiry."""
    ahead_s: int
    """How far the issuer's clock may be ahead: a token with a later `iat` is refused."""
    audiences: tuple[str, ...]
    """The accepted audiences, which a token must name exactly."""
    headers: tuple[str, ...]
    """Names of the headers that the token filter makes from claims."""


def source(contracts: Mapping[str, MethodContract], rules: TokenRules) -> str:
    """Return the filter's whole source."""
    tables = _Tables()
    route_tables = {
        route.name: tables.route(route, contracts[route.method])
        for route in gateway_routes(contracts)
    }
    replies = {reply.http: json.dumps(status_json(reply)) for reply in REPLIES}
    parts = [
        ("ROUTES", route_tables),
        ("MESSAGES", tables.messages),
        ("OBJECTS", tables.objects),
        ("ENUMS", tables.enums),
        ("REPLIES", replies),
        ("TOKEN", {**asdict(rules), "challenge": INVALID_TOKEN, "step_up": STEP_UP}),
    ]
    prelude = "\n".join(f"local {name} = {literal(value)}" for name, value in parts)
    return "\n".join([prelude, *(path.read_text() for path in _CODE)])


def literal(value: Any) -> str:
    """Return a value made of str, bool, int, list, tuple and dict as a Lua literal."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return "{" + ",".join(literal(each) for each in value) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"[{literal(k)}]={literal(v)}" for k, v in value.items()) + "}"
    raise TypeError(f"{type(value).__name__} has no Lua literal")


class _Tables:
    """Collects the messages and enums that the routes' bodies reach."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, list[Any]]] = {}
        self.objects: dict[str, str] = {}
        self.enums: dict[str, dict[str, Any]] = {}

    def route(self, route: GatewayRoute, contract: MethodContract) -> dict[str, Any]:
        """Return the table row of one route, and collect the messages that its body may contain."""
        http = next(each for each in contract.http if each.path == route.template)
        bound = {variable.partition(".")[0] for variable in route.variables}
        row: dict[str, Any] = {"body": route.body.value, "query": {}}
        row["key"] = route.idempotency_key_required
        if route.response_field:
            row["unwrap"] = route.response_field
        if route.has_etag:
            row["etag"] = True
        if route.audience is Audience.CUSTOMER:
            row["customer"] = True
        if route.body is BodyKind.JSON:
            root = _body_message(contract, http)
            self._note(root)
            row["message"] = root.full_name
            row["skip"] = {contract.request.fields_by_name[name].json_name: True for name in bound}
        if http.body != "*":
            for field in _query_fields(contract.request, bound | {http.body}):
                row["query"][field.name] = row["query"][field.json_name] = self._entry(field)
        return row

    def _note(self, message: Descriptor) -> None:
        if message.full_name in self.messages:
            return
        shape: dict[str, list[Any]] = {}
        self.messages[message.full_name] = shape
        self.objects[message.full_name] = object_text(message)
        for field in message.fields:
            entry = self._entry(field)
            shape[field.name] = shape[field.json_name] = entry

    def _entry(self, field: FieldDescriptor) -> list[Any]:
        inner = field.message_type
        repeated = field.is_repeated
        if inner is not None and inner.full_name in _STRINGS:
            return [field.json_name, "string", repeated]
        if inner is not None and not inner.full_name.startswith("google."):
            if inner.GetOptions().map_entry:
                return [field.json_name, "any", False]
            self._note(inner)
            return [field.json_name, "message", repeated, inner.full_name]
        kind = _KINDS.get(field.type, "any")
        if field.enum_type is not None:
            return [field.json_name, kind, repeated, self._note_enum(field)]
        if kind in _INTEGERS:
            in_range = range_text(field, *_INTEGERS[kind])
            return [field.json_name, kind, repeated, integer_text(field), in_range]
        said = rule_text(field)
        return [field.json_name, kind, repeated, *([said] if said else [])]

    def _note_enum(self, field: FieldDescriptor) -> str:
        names = field.enum_type.values if field.enum_type is not None else ()
        known = {"names": {value.name: True for value in names}, "text": enum_text(field)}
        self.enums[field.full_name] = known
        return field.full_name


def _body_message(contract: MethodContract, http: HttpRoute) -> Descriptor:
    if http.body == "*":
        return contract.request
    inner = contract.request.fields_by_name[http.body].message_type
    if inner is None:
        raise TypeError(f"{contract.path}: body names the scalar field {http.body}")
    return inner


def _query_fields(message: Descriptor, without: set[str]) -> Iterator[FieldDescriptor]:
    """Yield the fields that the query may set: those in neither the path nor the body."""
    for field in message.fields:
        if field.name not in without and field.message_type is None:
            yield field
