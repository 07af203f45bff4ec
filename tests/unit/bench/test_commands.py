"""Every part and option that a command in the documents names exists."""

import re
import shlex

import pytest

from lab.bench.__main__ import parser
from sandbox.stack.home import REPO

COMMAND = re.compile(r'`make bench(?:-long)? ARGS=("[^"]*"|[^`]+)`')
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/performance.md", "services/ledger/README.md")


def _commands() -> list[str]:
    return sorted(
        {
            arguments.strip('"')
            for name in DOCUMENTS
            for arguments in COMMAND.findall((REPO / name).read_text())
        }
    )


def test_the_documents_have_bench_commands() -> None:
    assert "--only baseline book interbank" in _commands()


@pytest.mark.parametrize("arguments", _commands())
def test_the_arguments_of_a_documented_command_are_accepted(arguments: str) -> None:
    parser().parse_args(shlex.split(arguments))
