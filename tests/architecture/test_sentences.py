"""The page of random sentences comes from documents and docstrings, not from code."""

from pathlib import Path

from tests.architecture.sources import REPO
from tools.check.sentences import everywhere, in_docstrings, in_document

HERE = Path("x")


def test_a_document_gives_its_sentences_cells_and_items_but_no_code_and_no_heading() -> None:
    text = """# A heading of a page
One line says this. It goes
on to here.

- An item of a list.

| a cell with words | `x` |
|---|---|

```sh
make this run in a shell
```
"""
    assert [each.text for each in in_document(HERE, text)] == [
        "One line says this.",
        "It goes on to here.",
        "An item of a list.",
        "a cell with words",
    ]


def test_a_module_gives_the_sentences_of_its_docstrings_alone() -> None:
    text = '"""Says what it holds. And\n\nwhat it does not."""\nx = "a string that is code"\n'
    assert [each.text for each in in_docstrings(HERE, text)] == [
        "Says what it holds.",
        "And what it does not.",
    ]


def test_the_repository_has_sentences_in_documents_and_in_code() -> None:
    suffixes = {each.path.suffix for each in everywhere(REPO)}
    assert suffixes == {".md", ".py"}
