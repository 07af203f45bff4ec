"""Documents refer to things that exist: links, tests, targets, programs. Drawings are current."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import REPO, texts

LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
TEST = re.compile(r"`([\w/]*\btest_\w+\.py)?(…)?(?:::(test_\w+))?`")
"""A test with the path or name of its file; without a file, the last named file applies."""
TARGET = re.compile(r"`make ([a-z-]+)[ `]")
COVERAGE = REPO / "docs" / "seed-coverage.md"
WANTED = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "proto/README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "architecture",
            "login",
            "transfer-saga",
            "events",
            "contracts",
            "decisions",
            "deployability",
            "performance",
            "dependencies",
            "failure-modes",
            "hostile-input",
            "known-bugs",
            "seed-coverage",
            "simulation",
            "one-machine",
        )
    ),
)


def _documents() -> dict[Path, str]:
    return {path: text for path, text in texts().items() if path.suffix == ".md"}


def _rows() -> Iterator[tuple[str, str, str]]:
    """Yield (element, state, proof) of each row of the coverage document."""
    for line in COVERAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and cells[2] not in ("state", "---"):
            yield cells[0], cells[2], cells[3]


def test_the_documents_are_there() -> None:
    assert [name for name in WANTED if not (REPO / name).is_file()] == []


def test_links_lead_somewhere() -> None:
    dead = [
        f"{path}: {target}"
        for path, text in _documents().items()
        for target in LINK.findall(text)
        if not (REPO / path.parent / target).exists()
    ]
    assert dead == []


def _missing_tests(text: str) -> Iterator[str]:
    """Yield the tests that a document names and that do not exist."""
    said = ""
    for file, _, function in TEST.findall(text):
        if not file and not function:
            continue
        said = file or said
        found = [REPO / said] if "/" in said else [*(REPO / "tests").rglob(said or "-")]
        if not any(_holds(path, function) for path in found if path.is_file()):
            yield f"{said}::{function}"


def _holds(path: Path, function: str) -> bool:
    return not function or f"def {function}(" in path.read_text()


def test_named_tests_exist() -> None:
    missing = [
        f"{path}: {each}" for path, text in _documents().items() for each in _missing_tests(text)
    ]
    assert missing == []


def test_a_test_that_is_not_there_is_missed() -> None:
    here = "`test_documents.py`, `tests/architecture/test_documents.py::test_named_tests_exist`"
    assert [*_missing_tests(here)] == []
    wrong = "`test_documents.py::test_of_dreams`, `::test_nobody_wrote`, `test_nowhere.py`"
    assert [*_missing_tests(wrong)] == [
        "test_documents.py::test_of_dreams",
        "test_documents.py::test_nobody_wrote",
        "test_nowhere.py::",
    ]


def test_named_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    named = {
        (str(path), name) for path, text in _documents().items() for name in TARGET.findall(text)
    }
    assert {(path, name) for path, name in named if name not in targets} == set()


def test_whatever_is_said_to_be_done_names_its_proof() -> None:
    rows = list(_rows())
    assert len(rows) > 100
    assert {state for _, state, _ in rows} == {"done", "part", "later"}
    assert [element for element, state, proof in rows if state == "done" and proof == "—"] == []
    assert [element for element, state, proof in rows if state == "later" and proof != "—"] == []


def test_every_dependency_is_explained() -> None:
    explained = (REPO / "docs" / "dependencies.md").read_text()
    listed = "".join(path.read_text() for path in (REPO / "requirements").glob("*.in"))
    names = re.findall(r"^([A-Za-z][\w-]*)==", listed, re.MULTILINE)
    assert len(names) > 30
    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", explained)] == []
