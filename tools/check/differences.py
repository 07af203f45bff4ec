"""The table of differences between the control plane and Istio, for docs/conformance.md.

Written between two marks, from the rows with which the comparison accepts a difference.
"""

import tomllib
from pathlib import Path

from tools.check.diagrams import END, begin_mark
from tools.check.tools import REPO

SOURCE = Path("lab/conformance/differences.toml")
DOCUMENT = Path("docs/conformance.md")


def document() -> str:
    """Return the document with the table."""
    text = (REPO / DOCUMENT).read_text()
    begin = begin_mark(str(SOURCE))
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{DOCUMENT} lacks the marks {begin!r} and {END!r}")
    return f"{before}{begin}\n{_table()}{END}{after}"


def _table() -> str:
    rows = tomllib.loads((REPO / SOURCE).read_text())["difference"]
    lines = [
        f"| {_facts(each['facts'])} | {each.get('ours', '')} | {each.get('istio', '')} "
        f"| {each['reason']} |"
        for each in rows
    ]
    head = ["| facts | control plane | Istio | why |", "|---|---|---|---|"]
    return "\n".join([*head, *lines]) + "\n"


def _facts(facts: str | list[str]) -> str:
    return ", ".join(f"`{each}`" for each in ([facts] if isinstance(facts, str) else facts))
