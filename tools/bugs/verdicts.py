"""Runs the test of each bug in a copy that has the bug: the test must fail.

A test that fails without the bug proves nothing, so all tests first run in the unchanged copy.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from tools.bugs import copies
from tools.bugs.table import Bug
from tools.check.tools import environment

_FINDING = re.compile(r"^((?:FAILED|ERROR) tests/\S+.*)$", re.MULTILINE)
_LINE_CHARS = 300
"""The width of pytest's lines: enough for the name of a test and the error that ended it."""


class Verdict(Enum):
    """The result of checking a bug."""

    FOUND = "found"
    MISSED = "MISSED"
    NO_PROOF = "NO PROOF: the test fails without the bug"
    NOT_RUN = "NOT RUN"


@dataclass(frozen=True, slots=True)
class Judged:
    """A bug with its verdict."""

    bug: Bug
    verdict: Verdict
    detail: str
    """The first failed test with its error, or what prevented the run. ERROR instead of FAILED: a
    fixture failed."""


def judged(bugs: Sequence[Bug]) -> Iterator[Judged]:
    """Yield the verdict on each bug as soon as it is known."""
    with copies.temporary_copy() as copy:
        code, printed = _run(copy, *dict.fromkeys(bug.test for bug in bugs))
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            raise RuntimeError(f"the tests do not run without a bug:\n{printed}")
        failed = _FINDING.findall(printed)
        for bug in bugs:
            before = [line for line in failed if line.partition(" ")[2].startswith(bug.test)]
            if before:
                yield Judged(bug, Verdict.NO_PROOF, before[0])
            else:
                yield _judged_in(copy, bug)


def _judged_in(copy: Path, bug: Bug) -> Judged:
    with copies.with_bug(copy, bug):
        code, printed = _run(copy, "--exitfirst", bug.test)
    found = _FINDING.search(printed)
    match code:
        case pytest.ExitCode.OK:
            return Judged(bug, Verdict.MISSED, bug.test)
        case pytest.ExitCode.TESTS_FAILED if found:
            return Judged(bug, Verdict.FOUND, found[1])
        case _:
            return Judged(
                bug, Verdict.NOT_RUN, (printed.strip() or "nothing printed").splitlines()[-1]
            )


def _run(copy: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in a copy; return its exit code and its output.

    Settings of the caller, such as the home of its bank, do not apply to the copy.
    """
    own = {k: v for k, v in environment().items() if not k.startswith(("BP_", "COVERAGE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--tb=short", *arguments],
        cwd=copy,
        env={**own, "PYTHONPATH": f"{copy}:{copy / 'gen'}", "COLUMNS": str(_LINE_CHARS)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
