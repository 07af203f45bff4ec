"""Parts of Markdown documents that programs write: text between markers, and tables. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def replaced(document: str, text: str, begin: str, end: str) -> str:
    """Return a document with a new text between two markers. Raises ValueError if the document has
    no markers."""
    before, found_begin, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"no {begin} … {end} in the document")
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
