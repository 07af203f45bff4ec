"""Reads a method's google.api.http option: its REST routes, additional bindings included."""

from collections.abc import Iterator
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor import MethodDescriptor

from services.contracts.methods import HttpRoute

_HTTP: Any = annotations_pb2.http


def http_routes(method: MethodDescriptor) -> tuple[HttpRoute, ...]:
    """Return the REST routes of a method; none for a method that is called only in the mesh."""
    return tuple(_routes(method.GetOptions().Extensions[_HTTP]))


def _routes(rule: http_pb2.HttpRule) -> Iterator[HttpRoute]:
    verb = rule.WhichOneof("pattern")
    if verb is not None:
        yield HttpRoute(verb.upper(), getattr(rule, verb), rule.body, rule.response_body)
    for additional in rule.additional_bindings:
        yield from _routes(additional)
