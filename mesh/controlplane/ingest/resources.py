"""Validates documents: each becomes a typed resource or an error with file and line."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from mesh.controlplane.ingest.documents import Document, Place
from mesh.controlplane.ingest.faults import ConfigFault
from mesh.controlplane.ingest.shapes import SPECS, Metadata, Shape

_SpecT = TypeVar("_SpecT", bound=Shape)
_UNKNOWN = "extra_forbidden"
_TOP = {"apiVersion", "kind", "metadata", "spec"}


@dataclass(frozen=True)
class Resource:
    """One validated document."""

    document: Document
    kind: str
    metadata: Metadata
    spec: Shape

    def fault(self, place: Place, problem: str) -> ConfigFault:
        """Return the error for a place in this resource."""
        return self.document.fault(place, problem)


def parse(documents: Iterable[Document]) -> list[Resource]:
    """Validate every document; reject two resources with the same kind and name."""
    seen: set[tuple[str, str]] = set()
    resources: list[Resource] = []
    for document in documents:
        resource = _parse_one(document)
        key = (resource.kind, resource.metadata.name)
        if key in seen:
            raise document.fault(
                ("metadata", "name"), f"{key[0]} {key[1]} already exists; rename or remove one"
            )
        seen.add(key)
        resources.append(resource)
    return resources


def of_kind(resources: Iterable[Resource], spec: type[_SpecT]) -> list[tuple[Resource, _SpecT]]:
    """Return the resources whose spec is of one type, with that spec."""
    return [(each, each.spec) for each in resources if isinstance(each.spec, spec)]


def _parse_one(document: Document) -> Resource:
    value = document.value
    if not isinstance(value, dict):
        raise document.fault((), "a resource must be a mapping")
    for key in value:
        if key not in _TOP:
            raise document.fault((key,), f"remove the unknown field {key}")
    version, kind = str(value.get("apiVersion")), str(value.get("kind"))
    if (version, kind) not in SPECS:
        raise document.fault(("kind",), f"{version} {kind} is not supported here; remove it")
    return Resource(
        document,
        kind,
        _validated(document, ("metadata",), Metadata, value.get("metadata")),
        _validated(document, ("spec",), SPECS[version, kind], value.get("spec", {})),
    )


def _validated(document: Document, at: Place, shape: type[_SpecT], value: object) -> _SpecT:
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        # A misspelt field is both unknown and missing; the report of the unknown field helps more.
        first = min(error.errors(), key=lambda each: each["type"] != _UNKNOWN)
        place = (*at, *first["loc"])
        unknown = first["type"] == _UNKNOWN
        problem = "unknown or unsupported field" if unknown else first["msg"]
        named = ".".join(str(part) for part in place)
        raise document.fault(place, f"{named}: {problem}") from error
