"""Validates documents: each becomes a typed resource or an error with file and line."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mesh.controlplane.ingest import fields
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
    noted = Findings() if findings is None else findings
    found = distinct(parse_each(documents, noted), noted)
    if findings is None:
        noted.end()
    return found


def parse_each(documents: Iterable[Document], findings: Findings) -> list[Resource]:
    """Validate every document by itself; note the errors."""
    found: list[Resource] = []
    for document in documents:
        with findings.reading(_supported_kind(document) or ANY_KIND):
            found.append(_parse_one(document))
    return found


def distinct(found: Iterable[Resource], findings: Findings) -> list[Resource]:
    """Return the resources as unread; note the second one of a kind and name, and leave it out."""
    first: dict[tuple[str, str], Resource] = {}
    for each in found:
        key = (each.kind, each.metadata.name)
        if key not in first:
            first[key] = each
            forget(each.spec)
            continue
        with findings.reading(each.kind):
            problem = f"{key[0]} {key[1]} already exists; rename or remove one"
            raise each.fault(("metadata", "name"), problem)
    return list(first.values())


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
        raise _unsupported(document, version, kind)
    with findings.noted():
        at = _At(document, "Metadata", ("metadata",))
        metadata = _validated(at, Metadata, value.get("metadata"))
    with findings.noted():
        spec = _validated(
            _At(document, kind, ("spec",)), SPECS[version, kind], value.get("spec", {})
        )
    findings.end()
    return Resource(document, kind, metadata, spec)


def _unsupported(document: Document, version: str, kind: str) -> ConfigFault:
    """Return the error for a kind that has no shape, with what to write instead."""
    named = " ".join(f"{version} {kind}".split())
    if reason := fields.refused_kind(kind):
        return document.fault(("kind",), f"{kind} is refused: {reason}")
    right = {each: at for at, each in SPECS}
    if kind in right:
        problem = f"{named} is not supported here; write {right[kind]}"
        return document.fault(("apiVersion",), problem)
    remedy = fields.suggestion(kind, right)
    return document.fault(("kind",), f"{named} is not supported here; {remedy}")


@dataclass(frozen=True)
class _At:
    """A part of a document: its place, and the kind that names it in the table of refusals."""

    document: Document
    kind: str
    place: Place

    def fault(self, inner: Place, problem: str) -> ConfigFault:
        return self.document.fault((*self.place, *inner), problem)


def _validated(at: _At, shape: type[_SpecT], value: object) -> _SpecT:
    """Validate one part of a document. A null value would silently get its default."""
    valueless = set(_nulls(value))
    found = [
        at.fault(place, f"{_named((*at.place, *place))} has no value; set it or remove it")
        for place in sorted(valueless, key=str)
    ]
    try:
        made = shape.model_validate(value)
    except ValidationError as error:
        causes = [each for each in _causes(error) if each["loc"] not in valueless]
        raise Faults([*found, *(_fault(at, shape, each) for each in causes)]) from error
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


def _causes(error: ValidationError) -> list[ErrorDetails]:
    """Return the errors to report: a misspelt field is reported as unknown, not also as missing."""
    found = error.errors(include_context=False)
    within = {each["loc"][:-1] for each in found if each["type"] == _UNKNOWN}
    return [each for each in found if each["type"] != _MISSING or each["loc"][:-1] not in within]


def _fault(at: _At, shape: type[Shape], error: ErrorDetails) -> ConfigFault:
    place = error["loc"]
    named = _named((*at.place, *place))
    path = tuple(part for part in place if isinstance(part, str))
    if error["type"] == _UNKNOWN:
        if reason := fields.refusal(at.kind, path):
            return at.fault(place, f"{named} is refused: {reason}")
        remedy = fields.suggestion(str(place[-1]), fields.names_at(at.kind, shape, place[:-1]))
        return at.fault(place, f"{named}: unknown field; {remedy}")
    if error["type"] == _MISSING:
        why = fields.why_required(at.kind, path)
        return at.fault(place, f"{named} is missing; set it" + (f": {why}" if why else ""))
    given, problem = error["input"], error["msg"].removeprefix("Value error, ")
    if isinstance(given, str) and (reason := fields.refused_value(at.kind, path, given)):
        return at.fault(place, f"{named}: {given} is refused: {reason}")
    if error["type"] in _OUT_OF_RANGE:
        problem = f"{problem}, not {str(given)[:_SHOWN_CHARS_MAX]}"
    return at.fault(place, f"{named}: {problem}")


def _named(place: Place) -> str:
    return ".".join(str(part) for part in place)
