"""Validates documents: each becomes a typed resource or an error with file and line."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mesh.controlplane.ingest.documents import Document, Place
from mesh.controlplane.ingest.faults import (
    ANY_KIND,
    Absent,
    ConfigFault,
    Faults,
    Findings,
    MeshFault,
)
from mesh.controlplane.ingest.shape import Shape, forget, unread
from mesh.controlplane.ingest.shapes import SPECS, Metadata

_SpecT = TypeVar("_SpecT", bound=Shape)
_UNKNOWN = "extra_forbidden"
_MISSING = "missing"
_OUT_OF_RANGE = {"greater_than_equal", "less_than_equal"}
_SHOWN_CHARS_MAX = 32
_TOP = {"apiVersion", "kind", "metadata", "spec"}


@dataclass(frozen=True)
class Resource:
    """One validated document."""

    document: Document
    kind: str
    metadata: Metadata
    spec: Shape

    def fault(self, place: Place, problem: str, *, absent: str | None = None) -> ConfigFault:
        """Return the error for a place in this resource."""
        return self.document.fault(place, problem, absent=absent)

    @contextmanager
    def located(self, place: Place) -> Generator[None]:
        """Add this place to an error that has none."""
        try:
            yield
        except MeshFault as fault:
            raise self.fault(place, str(fault), absent=fault.absent) from fault


def parse(documents: Iterable[Document], findings: Findings | None = None) -> list[Resource]:
    """Validate every document; reject two resources with the same kind and name.

    Notes the errors of all documents in `findings`; without `findings`, raises them.
    """
    seen: set[tuple[str, str]] = set()
    resources: list[Resource] = []
    noted = Findings() if findings is None else findings
    for document in documents:
        with noted.reading(_supported_kind(document) or ANY_KIND):
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


def the_only(resources: Iterable[Resource], spec: type[_SpecT]) -> tuple[Resource, _SpecT]:
    """Return the only resource with a spec of this type; raise an error unless there is one."""
    found, kind = of_kind(resources, spec), spec.__name__.removesuffix("Spec")
    if not found:
        raise Absent(f"mesh/config needs exactly one {kind}", kind)
    for another, _ in found[1:]:
        raise another.fault(("kind",), f"mesh/config needs exactly one {kind}; remove this one")
    return found[0]


def refuse_unread(resources: Iterable[Resource], findings: Findings) -> None:
    """Note an error for each field that was not read after parsing, because it has no effect."""
    for each in resources:
        for place in unread(each.spec, ("spec",)):
            named = ".".join(str(part) for part in place)
            findings.add(each.fault(place, f"{named} has no effect; remove it"))


def _supported_kind(document: Document) -> str | None:
    value = document.value
    if not isinstance(value, dict):
        return None
    named = str(value.get("apiVersion")), str(value.get("kind"))
    return named[1] if named in SPECS else None


def _parse_one(document: Document) -> Resource:
    value = document.value
    if not isinstance(value, dict):
        raise document.fault((), "a resource must be a mapping")
    findings = Findings()
    for key in value:
        if key not in _TOP:
            findings.add(document.fault((str(key),), f"remove the unknown field {key}"))
    version, kind = str(value.get("apiVersion")), str(value.get("kind"))
    if _supported_kind(document) is None:
        named = " ".join(f"{version} {kind}".split())
        raise document.fault(("kind",), f"{named} is not supported here; remove it")
    with findings.noted():
        metadata = _validated(document, ("metadata",), Metadata, value.get("metadata"))
    with findings.noted():
        spec = _validated(document, ("spec",), SPECS[version, kind], value.get("spec", {}))
    findings.end()
    return Resource(document, kind, metadata, spec)


def _validated(document: Document, at: Place, shape: type[_SpecT], value: object) -> _SpecT:
    """Validate one part of a document. A null value would silently get its default."""
    found: list[ConfigFault] = []
    valueless = {(*at, *place) for place in _nulls(value)}
    for place in sorted(valueless, key=str):
        found.append(document.fault(place, f"{_named(place)} has no value; set it or remove it"))
    try:
        made = shape.model_validate(value)
    except ValidationError as error:
        faults = [_fault(document, each) for each in _causes(error, at) if each[0] not in valueless]
        raise Faults([*found, *faults]) from error
    if found:
        raise Faults([*found])
    return made


def _nulls(value: Any) -> Iterator[Place]:
    if value is None:
        yield ()
    elif isinstance(value, dict):
        yield from ((str(k), *inner) for k, each in value.items() for inner in _nulls(each))
    elif isinstance(value, list):
        yield from ((i, *inner) for i, each in enumerate(value) for inner in _nulls(each))


def _causes(error: ValidationError, at: Place) -> list[tuple[Place, ErrorDetails]]:
    """Return the errors to report: a misspelt field is reported as unknown, not also as missing."""
    found = error.errors(include_context=False)
    within = {each["loc"][:-1] for each in found if each["type"] == _UNKNOWN}
    return [
        ((*at, *each["loc"]), each)
        for each in found
        if each["type"] != _MISSING or each["loc"][:-1] not in within
    ]


def _fault(document: Document, cause: tuple[Place, ErrorDetails]) -> ConfigFault:
    place, error = cause
    problem = "unknown or unsupported field" if error["type"] == _UNKNOWN else error["msg"]
    if error["type"] in _OUT_OF_RANGE:
        problem = f"{problem}, not {str(error['input'])[:_SHOWN_CHARS_MAX]}"
    return document.fault(place, f"{_named(place)}: {problem.removeprefix('Value error, ')}")


def _named(place: Place) -> str:
    return ".".join(str(part) for part in place)
