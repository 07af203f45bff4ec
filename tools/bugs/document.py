"""Reads docs/known-bugs.md: each row of its table names a bug and the tests that find it."""

import re
from dataclasses import dataclass
from pathlib import Path

from tools.bugs.table import REPO

DOCUMENT = REPO / "docs" / "known-bugs.md"
_NAMED = re.compile(r"`(tests/[\w/.]+)?(::\w+)?`")
"""A test by its file, its name, or both. A name alone refers to the file named before it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the document."""

    text: str
    """The bug in plain words."""
    tests: frozenset[str]
    """`path` or `path::function`, relative to the repository."""

    def names(self, test: str) -> bool:
        """Return whether the row names a test, or the file with all its tests."""
        return test in self.tests or test.partition("::")[0] in self.tests


def read_rows(document: Path = DOCUMENT) -> list[Row]:
    """Return the rows of the document in its order."""
    lines = [line for line in document.read_text().splitlines() if line.startswith("| ")]
    return [_row(line) for line in lines[1:]]


def _row(line: str) -> Row:
    text, tests = line.strip("| ").rsplit(" | ", 1)
    named: set[str] = set()
    last = ""
    for path, function in _NAMED.findall(tests):
        last = path or last
        if last and (path or function):
            named.add(last + function)
    return Row(text, frozenset(named))
