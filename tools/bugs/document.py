"""Reads docs/known-bugs.md: each row of its table names a bug and the tests that find it."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.bugs.table import REPO, Bug

DOCUMENT = REPO / "docs" / "known-bugs.md"
_NAMED = re.compile(r"`(tests/[\w/.]+)?(::\w+)?`")
"""A test by its file, its name, or both. A name alone refers to the file named before it."""
_NO_ENTRY = re.compile(r"\bno entry: (\S.+)")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the document."""

    text: str
    """The bug in plain words."""
    tests: frozenset[str]
    """`path` or `path::function`, relative to the repository."""
    reason: str = ""
    """Why no entry can reintroduce the bug, such as a part that is not built; "" if one can."""

    def names(self, test: str) -> bool:
        """Return whether the row names a test, or the file with all its tests."""
        return test in self.tests or test.partition("::")[0] in self.tests


def read_rows(document: Path = DOCUMENT) -> list[Row]:
    """Return the rows of the document in its order."""
    lines = [line for line in document.read_text().splitlines() if line.startswith("| ")]
    return [_row(line) for line in lines[1:]]


def missing(rows: Iterable[Row], bugs: Collection[Bug]) -> list[Row]:
    """Return the rows that have no entry and no reason for that."""
    return [row for row in rows if not (row.reason or any(row.names(bug.test) for bug in bugs))]


def _row(line: str) -> Row:
    text, tests = line.strip("| ").rsplit(" | ", 1)
    named: set[str] = set()
    last = ""
    for path, function in _NAMED.findall(tests):
        last = path or last
        if last and (path or function):
            named.add(last + function)
    reason = _NO_ENTRY.search(tests)
    return Row(text, frozenset(named), reason[1] if reason else "")
