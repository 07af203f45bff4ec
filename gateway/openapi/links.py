"""OpenAPI links: from a response to the calls that can use its content.

A resource's key is its first field, such as transfer_id. A resource links to the methods of the
same service that have the key in their path, and to every list that requires the key. A page links
to the next page.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from gateway.routes import BodyKind, GatewayRoute
from services.contracts import MethodContract

_BEHAVIOR: Any = field_behavior_pb2.field_behavior
_NEXT, _TOKEN = "next_page_token", "page_token"


@dataclass(frozen=True, slots=True)
class Method:
    """A method and its route at the gateway."""

    route: GatewayRoute
    contract: MethodContract

    @property
    def answer(self) -> Descriptor:
        """The message that is the body of the response."""
        message = self.contract.response
        for field in message.fields:
            if self.route.response_field and field.json_name == self.route.response_field:
                return field.message_type or message
        return message


def links(source: Method, known: Mapping[str, Method]) -> dict[str, dict[str, Any]]:
    """Return the links of a method's successful response, by name."""
    found = dict(_to_next_page(source))
    for key, pointer in _keys(source.answer):
        for target in known.values():
            if target is not source and _takes(target, key, source):
                name = target.contract.name
                found[name] = _link(target, {key.json_name: f"$response.body#/{pointer}"})
    return found


def _link(target: Method, parameters: dict[str, str]) -> dict[str, Any]:
    return {"operationId": target.contract.name, "parameters": parameters}


def _keys(message: Descriptor) -> Iterator[tuple[FieldDescriptor, str]]:
    """Yield the key of a resource, or of a list's first resource, and its JSON pointer."""
    first = next(iter(message.fields), None)
    if first is None:
        return
    if first.name.endswith("_id"):
        yield first, first.json_name
    elif first.is_repeated and first.message_type is not None:
        inner = first.message_type.fields[0]
        if inner.name.endswith("_id"):
            yield inner, f"{first.json_name}/0/{inner.json_name}"


def _takes(target: Method, key: FieldDescriptor, source: Method) -> bool:
    if key.name in target.route.variables:
        return target.contract.service == source.contract.service
    field = target.contract.request.fields_by_name.get(key.name)
    return target.route.body is BodyKind.NONE and field is not None and _is_required(field)


def _is_required(field: FieldDescriptor) -> bool:
    return field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[_BEHAVIOR]


def _to_next_page(source: Method) -> Iterator[tuple[str, dict[str, Any]]]:
    answer, request = source.contract.response, source.contract.request
    if _NEXT not in answer.fields_by_name or _TOKEN not in request.fields_by_name:
        return
    token, following = request.fields_by_name[_TOKEN], answer.fields_by_name[_NEXT]
    places = {True: "path", False: "query"}
    parameters = {
        field.json_name: f"$request.{places[field.name in source.route.variables]}."
        f"{field.json_name}"
        for field in request.fields
        if _is_required(field)
    }
    parameters[token.json_name] = f"$response.body#/{following.json_name}"
    yield f"{source.contract.name}Next", _link(source, parameters)
