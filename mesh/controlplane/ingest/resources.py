"""Validates documents: each becomes a typed resource or an error with file and line."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mesh.controlplane.ingest.documents import Document, Place
from mesh.controlplane.ingest.faults import ConfigFault, Faults, Findings
from mesh.controlplane.ingest.shape import Shape, forget, unread
from mesh.controlplane.ingest.shapes import SPECS, Metadata

_SpecT = TypeVar("_SpecT", bound=Shape)
_UNKNOWN = "extra_forbidden"
_MISSING = "missing"
_TOP = {"apiVersion", "kind", "metadata", "spec"}


@dataclass(frozen=True)
class Resource:
    """One validated document."""

    document: Document
    kind: str
    metadata: Metadata
    spec: Shape

    def fault(self, place: Place, problem: str, *, absent: bool = False) -> ConfigFault:
        """Return the error for a place in this resource."""
        return self.document.fault(place, problem, absent=absent)


def parse(documents: Iterable[Document], findings: Findings | None = None) -> list[Resource]:
    """Validate every document; reject two resources with the same kind and name.

    Notes the errors of all documents in `findings`; without `findings`, raises them.
    """
    seen: set[tuple[str, str]] = set()
    resources: list[Resource] = []
    noted = Findings() if findings is None else findings
    for document in documents:
        with noted.noted():
            resource = _parse_one(document)
            key = (resource.kind, resource.metadata.name)
            if key in seen:
                raise document.fault(
                    ("metadata", "name"), f"{key[0]} {key[1]} already exists; rename or remove one"
                )
            seen.add(key)
            resources.append(resource)
    if findings is None:
        noted.end()
    for each in resources:
        forget(each.spec)
    return resources


def of_kind(resources: Iterable[Resource], spec: type[_SpecT]) -> list[tuple[Resource, _SpecT]]:
    """Return the resources whose spec is of one type, with that spec."""
    return [(each, each.spec) for each in resources if isinstance(each.spec, spec)]


def refuse_unread(resources: Iterable[Resource], findings: Findings) -> None:
    """Note an error for each field that nothing read after parsing, because it has no effect."""
    for each in resources:
        for place in unread(each.spec, ("spec",)):
            named = ".".join(str(part) for part in place)
            findings.add(each.fault(place, f"{named} has no effect; remove it"))


def _parse_one(document: Document) -> Resource:
    value = document.value
    if not isinstance(value, dict):
        raise document.fault((), "a resource must be a mapping")
    findings = Findings()
    for key in value:
        if key not in _TOP:
            findings.add(document.fault((key,), f"remove the unknown field {key}"))
    version, kind = str(value.get("apiVersion")), str(value.get("kind"))
    if (version, kind) not in SPECS:
        raise document.fault(("kind",), f"{version} {kind} is not supported here; remove it")
    with findings.noted():
        metadata = _validated(document, ("metadata",), Metadata, value.get("metadata"))
    with findings.noted():
        spec = _validated(document, ("spec",), SPECS[version, kind], value.get("spec", {}))
    findings.end()
    return Resource(document, kind, metadata, spec)


def _validated(document: Document, at: Place, shape: type[_SpecT], value: object) -> _SpecT:
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise Faults([_fault(document, at, each) for each in _causes(error)]) from error


def _causes(error: ValidationError) -> list[ErrorDetails]:
    """Return the errors to report: a misspelt field is reported as unknown, not also as missing."""
    found = error.errors()
    within = {each["loc"][:-1] for each in found if each["type"] == _UNKNOWN}
    return [each for each in found if each["type"] != _MISSING or each["loc"][:-1] not in within]


def _fault(document: Document, at: Place, error: ErrorDetails) -> ConfigFault:
    place = (*at, *error["loc"])
    problem = "unknown or unsupported field" if error["type"] == _UNKNOWN else error["msg"]
    return document.fault(place, f"{'.'.join(str(part) for part in place)}: {problem}")
