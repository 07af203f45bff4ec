"""Reads the table of bugs: one TOML file for each area, one entry for each bug.

An entry has a file, a text in it, the text that reintroduces the bug, and the test that finds it.
docs/known-bugs.md names the test too, and describes the bug.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

REPO = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "table"
WITHOUT_STACK = ("tests/architecture/", "tests/golden/", "tests/simulation/", "tests/unit/")
"""Folders with tests that need no running service."""
_FIELDS = {"test", "file", "before", "after"}


@dataclass(frozen=True, slots=True)
class Bug:
    """One bug."""

    name: str
    """Unique: a short statement, with dashes between the words."""
    area: str
    """The name of its file in the table."""
    test: str
    """`path::function`, relative to the repository, or the path alone."""
    file: PurePosixPath
    """The file to change, relative to the repository."""
    before: str
    """The correct text, which the file has exactly once."""
    after: str
    """The text that replaces it."""

    @property
    def is_quick(self) -> bool:
        """Whether its test needs no running service."""
        return self.test.startswith(WITHOUT_STACK)

    @property
    def is_of_sql_function(self) -> bool:
        """Whether it is in a SQL function, which only a migration changes in a database."""
        return self.file.parts[-3:-1] == ("sql", "functions")


def read_bugs(folder: Path = FOLDER) -> dict[str, Bug]:
    """Return all bugs by name; raise ValueError for an entry that is malformed or repeated."""
    bugs: dict[str, Bug] = {}
    for path in sorted(folder.glob("*.toml")):
        for name, entry in tomllib.loads(path.read_text()).items():
            if name in bugs or entry.keys() != _FIELDS:
                raise ValueError(f"{path.name}: {name} appears twice or has wrong fields")
            file = PurePosixPath(entry["file"])
            bugs[name] = Bug(name, path.stem, entry["test"], file, entry["before"], entry["after"])
    return bugs
