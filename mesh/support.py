"""Writes docs/mesh-support.md: each field of each kind, honoured or refused.

python -m mesh.support docs/mesh-support.md TARGET

The tables come from the shapes and the refusals of controlplane/ingest. The rest of the document is
written by hand.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from mesh.controlplane.ingest import fields
from mesh.controlplane.ingest.shapes import SPECS

_BEGIN = "<!-- generated from mesh/controlplane/ingest by `make gen` -->"
_END = "<!-- end of the generated part -->"


def document(text: str) -> str:
    """Return the document with the present tables; ValueError when a mark is missing."""
    before, begun, rest = text.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not (begun and ended):
        raise ValueError(f"the document lacks the marks {_BEGIN!r} and {_END!r}")
    return f"{before}{_BEGIN}\n{tables()}{_END}{after}"


def tables() -> str:
    """Return the tables of all kinds, and that of the kinds that are refused."""
    parts = [_table(version, kind) for version, kind in SPECS]
    rows = [f"| {kind} | {reason} |" for kind, reason in sorted(fields.refused_kinds().items())]
    refused = ["### Other kinds", "", "| kind | why it is refused, and what to use |", "|---|---|"]
    return "\n".join([*parts, *refused, *rows, ""])


def _table(version: str, kind: str) -> str:
    shape = SPECS[version, kind]
    rows = {".".join(path): ("honoured", _values(of)) for path, of in fields.honoured(shape)}
    for field, reason in fields.refused_fields(kind).items():
        rows[field] = ("refused", reason)
    lines = [
        f"| `{name.replace('=', ': ')}` | {state} | {note} |"
        for name, (state, note) in sorted(rows.items())
    ]
    head = [f"### {kind}", "", f"`{version}`", "", "| field | | |", "|---|---|---|"]
    return "\n".join([*head, *lines, ""])


def _values(annotation: Any) -> str:
    """Return the only values that a field may have, if they are listed."""
    found = list(dict.fromkeys(_literals(annotation)))
    if not found:
        return ""
    shown = ", ".join(f"`{each}`" for each in found)
    return f"always {shown}" if len(found) == 1 else shown


def _literals(annotation: Any) -> Iterator[object]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield from inner
    elif origin is Annotated:
        yield from _literals(inner[0])
    elif origin in (Union, UnionType, list, tuple):
        for each in inner:
            yield from _literals(each)
    elif origin is dict:
        values = list(_literals(inner[-1])) or ["…"]
        yield from (f"{key}: {value}" for key in _literals(inner[0]) for value in values)


def main(arguments: list[str] | None = None) -> int:
    """Write the document to another file."""
    source, target = sys.argv[1:] if arguments is None else arguments
    Path(target).write_text(document(Path(source).read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
