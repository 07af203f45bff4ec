"""Runs the tools of this virtual environment, by full path and from the repository's root.

This module does not depend on the code that it checks. A check is a name and a function that raises
its findings.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


class CheckFailed(Exception):
    """A check found something; the exception's text is the finding as it is printed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    about: str
    run: Callable[[], None]
    """Raises CheckFailed with the findings."""


def environment() -> dict[str, str]:
    """Return the process environment with this virtual environment's programs first.

    buf starts its plugin as plain `python`, which must be this environment's Python.
    """
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "PYTHONPATH": f"{REPO}{os.pathsep}{REPO / 'gen'}"}


def run(tool: str, *arguments: str | Path) -> str:
    """Run a tool and return its standard output; raise CheckFailed when it exits with an error."""
    done = subprocess.run(
        [str(BIN / tool), *map(str, arguments)],
        cwd=REPO,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CheckFailed((done.stdout + done.stderr).strip() or f"{tool}: exit {done.returncode}")
    return done.stdout


def output(*command: str | Path) -> str:
    """Return the standard output of a program that exits with an error if it finds something;
    raise CheckFailed if it writes nothing there."""
    done = subprocess.run(
        [*map(str, command)], env=environment(), capture_output=True, text=True, check=False
    )
    if not done.stdout:
        raise CheckFailed(done.stderr.strip() or f"{command[0]}: exit {done.returncode}")
    return done.stdout
