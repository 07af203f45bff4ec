"""The bugs to reintroduce match the code, the tests and the document of known bugs."""

import ast
from pathlib import Path

import pytest

from tests.architecture.sources import REPO
from tools.bugs import copies
from tools.bugs.document import missing, read_rows
from tools.bugs.table import Bug, read_bugs

BUGS = read_bugs()
ENTRY = """
[a-bug]
test = "tests/test_it.py::test_it_is_right"
file = "{file}"
before = 'right'
after = 'wrong'
"""


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS)
def test_a_bug_changes_one_place_and_its_test_exists(bug: Bug) -> None:
    text = (REPO / bug.file).read_text()
    assert text.count(bug.before) == 1, f"{bug.file} must have the text `before` exactly once"
    assert bug.after != bug.before
    if bug.file.suffix == ".py":
        ast.parse(text.replace(bug.before, bug.after))
    path, _, function = bug.test.partition("::")
    assert (REPO / path).is_file()
    assert not function or f"def {function}(" in (REPO / path).read_text()


def test_each_bug_is_in_the_document_and_each_row_has_a_bug_or_says_why_not() -> None:
    rows = read_rows()
    assert [bug.name for bug in BUGS.values() if not any(r.names(bug.test) for r in rows)] == []
    assert [row.text for row in missing(rows, BUGS.values())] == []
    explained = [row for row in rows if row.reason]
    assert len(explained) < len(rows) / 20
    assert not [row for row in explained if any(row.names(bug.test) for bug in BUGS.values())]


def test_only_a_row_with_an_entry_or_a_reason_is_not_missing(tmp_path: Path) -> None:
    document = tmp_path / "known-bugs.md"
    document.write_text(
        "| the bug | what catches it |\n|---|---|\n"
        "| it is wrong | `tests/test_it.py`, `::test_it_is_right` |\n"
        "| it is slow | no entry: nothing measures it |\n"
        "| it is lost | `tests/test_it.py::test_it_is_kept` |\n"
    )
    (tmp_path / "one.toml").write_text(ENTRY.format(file="it.py"))
    left = missing(read_rows(document), read_bugs(tmp_path).values())
    assert [row.text for row in left] == ["it is lost"]


def test_a_name_that_is_used_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(ENTRY.format(file="it.py"))
    assert [*read_bugs(tmp_path)] == ["a-bug"]
    (tmp_path / "other.toml").write_text(ENTRY.format(file="it.py"))
    with pytest.raises(ValueError, match="a-bug"):
        read_bugs(tmp_path)


@pytest.mark.parametrize("file", ["it.py", "services/a/sql/functions/it.sql"])
def test_a_bug_is_put_into_a_copy_once_and_changes_no_other_place(
    tmp_path: Path, file: str
) -> None:
    (tmp_path / "one.toml").write_text(ENTRY.format(file=file))
    (bug,) = read_bugs(tmp_path).values()
    path = tmp_path / file
    migrations = tmp_path / "services" / "a" / "sql" / "migrations"
    for folder in (path.parent, migrations):
        folder.mkdir(parents=True, exist_ok=True)
    path.write_text("all is right\n")
    copies.put(tmp_path, bug)
    assert path.read_text() == "all is wrong\n"
    written = [each.read_text() for each in migrations.iterdir()]
    assert written == (
        ["-- migrate:up\n\nall is wrong\n\n-- migrate:down\n"] if "sql" in file else []
    )
    with pytest.raises(ValueError, match="exactly once"):
        copies.put(tmp_path, bug)
