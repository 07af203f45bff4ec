"""Draws the diagrams in docs/ from code, between two marks in their document.

Only the text between the marks is generated; the rest of the document is written by hand.
"""

from pathlib import Path

from services.auth.state import LOGIN
from services.payments.state import TABLE
from tools.check.tools import REPO

DRAWN = {
    Path("docs/transfer-saga.md"): ("services/payments/state.py", TABLE.mermaid),
    Path("docs/login.md"): ("services/auth/state.py", LOGIN.mermaid),
}
"""A document -> the file that has its table, and what draws the table."""
END = "<!-- end of the generated part -->"


def documents() -> dict[Path, str]:
    """Return each such document by its path, with the diagram drawn from the code."""
    return {
        path: redrawn((REPO / path).read_text(), source, draw())
        for path, (source, draw) in DRAWN.items()
    }


def begin_mark(source: str) -> str:
    """Return the mark before the diagram of a file."""
    return f"<!-- generated from {source} by `make gen` -->"


def redrawn(text: str, source: str, diagram: str) -> str:
    """Return the text with the diagram between the marks; ValueError when a mark is missing."""
    begin = begin_mark(source)
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the document lacks the marks {begin!r} and {END!r}")
    return f"{before}{begin}\n```mermaid\n{diagram}```\n{END}{after}"
