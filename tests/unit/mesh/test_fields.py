"""Every field of Istio's kinds is honoured, or refused with a reason and a remedy."""

from pathlib import Path

from mesh import support
from mesh.controlplane.ingest import fields
from mesh.controlplane.ingest.shapes import SPECS

REPO = Path(__file__).parents[3]
ISTIO = Path(__file__).with_name("istio_fields.txt")
"""The fields of Istio's API 1.32 by kind, one a line, from its CustomResourceDefinitions."""
KINDS = {kind: spec for (_, kind), spec in SPECS.items()}


def _of_istio() -> list[tuple[str, tuple[str, ...]]]:
    lines = [line.split() for line in ISTIO.read_text().splitlines() if not line.startswith("#")]
    return [(kind, tuple(path.split("."))) for kind, path in lines]


def _honoured(kind: str) -> set[tuple[str, ...]]:
    return {path for path, _ in fields.honoured(KINDS[kind])}


def test_every_field_of_istio_is_honoured_or_refused() -> None:
    unknown = [
        f"{kind} {'.'.join(path)}"
        for kind, path in _of_istio()
        if path not in _honoured(kind) and fields.refusal(kind, path) is None
    ]
    assert unknown == []


def test_no_field_is_both_honoured_and_refused() -> None:
    both = [
        f"{kind} {'.'.join(path)}"
        for kind in KINDS
        for path in _honoured(kind)
        if fields.refusal(kind, path)
    ]
    assert both == []


def test_every_refusal_is_of_a_field_that_istio_has() -> None:
    known = {(kind, path[:end]) for kind, path in _of_istio() for end in range(len(path) + 1)}
    strange = [
        f"{kind} {field}"
        for kind in KINDS
        if kind != "EdgePolicy"
        for field in fields.refused_fields(kind)
        if (kind, tuple(field.partition("=")[0].split("."))) not in known
    ]
    assert strange == []


def test_every_honoured_field_of_istios_kinds_is_istios() -> None:
    known = set(_of_istio())
    own = [
        f"{kind} {'.'.join(path)}"
        for kind in KINDS
        if kind != "EdgePolicy"
        for path in _honoured(kind)
        if (kind, path) not in known
    ]
    assert own == []


def test_every_reason_names_a_remedy() -> None:
    tables = [fields.refused_kinds(), *(fields.refused_fields(kind) for kind in KINDS)]
    bare = [reason for table in tables for reason in table.values() if "; " not in reason]
    assert bare == []


def test_the_document_has_the_present_tables(tmp_path: Path) -> None:
    source, target = REPO / "docs" / "mesh-support.md", tmp_path / "mesh-support.md"
    assert support.main([str(source), str(target)]) == 0
    assert target.read_text() == source.read_text()
