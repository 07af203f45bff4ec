"""Draws the diagrams in docs/ from code, between two marks in their document.

Only the text between the marks is generated; the rest of the document is written by hand.
"""

from pathlib import Path

from services.payments.state import TABLE
from tools.check.tools import REPO

SAGA = Path("docs/transfer-saga.md")
BEGIN = "<!-- generated from services/payments/state.py by `make gen` -->"
END = "<!-- end of the generated part -->"


def documents() -> dict[Path, str]:
    """Return each such document by its path, with the diagram drawn from the code."""
    return {SAGA: redrawn((REPO / SAGA).read_text(), TABLE.mermaid())}


def redrawn(text: str, diagram: str) -> str:
    """Return the text with the diagram between the marks; ValueError when a mark is missing."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the document lacks the marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n```mermaid\n{diagram}```\n{END}{after}"
