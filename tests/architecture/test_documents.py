"""Documents point at what is there: links, tests, targets, programs; and drawings are current."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import REPO, texts

LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
TEST = re.compile(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`")
TARGET = re.compile(r"`make ([a-z]+)[ `]")
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
            "transfer-saga",
            "events",
            "contracts",
            "performance",
            "dependencies",
            "seed-coverage",
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


def test_named_tests_exist() -> None:
    missing = [
        f"{path}: {file}::{function}"
        for path, text in _documents().items()
        for file, function in TEST.findall(text)
        if not (REPO / file).is_file() or f"def {function}" not in (REPO / file).read_text()
    ]
    assert missing == []


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
