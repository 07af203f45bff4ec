"""`python -m tools.check.sentences --seed 7`: print random sentences of this repository.

They come from documents and docstrings. Read such a page now and then, and rewrite every sentence
that has to be read twice, together with similar ones.
"""

import argparse
import ast
import random
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.check.tools import REPO

FOLDERS = ("services", "gateway", "mesh", "ops", "sandbox", "lab", "tools", "tests")
WORDS_MIN = 4
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*])")
_NO_PROSE = re.compile(r"```[\s\S]*?```|^#+ .*$|^\|[-| :]+\|$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence and the file that has it."""

    path: Path
    text: str


def in_document(path: Path, text: str) -> Iterator[Sentence]:
    """Yield the sentences of a Markdown file; each table cell and each list item is separate."""
    for block in re.split(r"\n\s*\n|\n(?=[-*|0-9])|\|", _NO_PROSE.sub("", text)):
        yield from _split(path, block.lstrip("-* 0123456789."))


def in_docstrings(path: Path, text: str) -> Iterator[Sentence]:
    """Yield the sentences of a Python file's docstrings, including attribute docstrings."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as docstring)):
                yield from _split(path, docstring)
            case _:
                pass


def _split(path: Path, text: str) -> Iterator[Sentence]:
    for sentence in _SENTENCE_END.split(" ".join(text.split())):
        if len(sentence.split()) >= WORDS_MIN:
            yield Sentence(path, sentence)


def everywhere(root: Path = REPO) -> list[Sentence]:
    """Return all sentences below a root, in the order of their files."""
    documents = [*root.glob("*.md"), *root.glob("docs/*.md")]
    documents += [path for folder in (*FOLDERS, "proto") for path in (root / folder).rglob("*.md")]
    modules = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    found = [
        *((path, in_document) for path in documents),
        *((path, in_docstrings) for path in modules),
    ]
    return [
        sentence
        for path, read in sorted(found, key=lambda each: each[0])
        for sentence in read(path.relative_to(root), path.read_text())
    ]


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(prog="python -m tools.check.sentences", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    sentences = everywhere()
    draw = random.Random(options.seed)  # noqa: S311
    drawn = draw.sample(sentences, min(options.count, len(sentences)))
    print(f"seed {options.seed}, {len(drawn)} of {len(sentences)} sentences\n")
    for number, sentence in enumerate(drawn, 1):
        wrapped = textwrap.fill(sentence.text, 96, subsequent_indent="    ")
        print(f"{number:2}. {wrapped}\n    {sentence.path}")


if __name__ == "__main__":
    main()
