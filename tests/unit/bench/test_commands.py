"""Every part and option that a command in the documents names exists."""

import re
import shlex
from pathlib import Path

import pytest

from lab.bench.__main__ import parser, scale_of
from lab.bench.bench import Scale
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


def test_each_option_of_the_scale_reaches_its_field() -> None:
    given = parser().parse_args(
        ["--quick", "--seconds", "2.5", "--connections", "8", "--pgledger", "x.sql"]
    )
    assert scale_of(given) == Scale(quick=True, seconds=2.5, connections=8, peer=Path("x.sql"))
    assert scale_of(parser().parse_args([])) == Scale()
