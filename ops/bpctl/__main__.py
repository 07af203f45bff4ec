"""`./bpctl` or `python -m ops.bpctl`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from ops.bpctl.app import build

COMPLETING = "_BPCTL_COMPLETE"
"""The shell sets this variable when it asks for completions; its name follows from the program's
name `bpctl`, under which shells also complete `./bpctl`."""
TYPED = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")
"""Variables with the words that were typed so far: of bash, and of the other shells."""


def first_word(arguments: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Return the first word of a call, or of the line that a shell completes."""
    if COMPLETING in environment:
        typed = next((environment[each] for each in TYPED if environment.get(each)), "")
        arguments = typed.split()
    return arguments[1] if len(arguments) > 1 else None


def shown_name(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the program's name: as it is called, but for shells the name that they know."""
    completes = COMPLETING in environment or any(each.endswith("-completion") for each in arguments)
    return "bpctl" if completes else "./bpctl"


if __name__ == "__main__":
    build(first_word(sys.argv, os.environ))(prog_name=shown_name(sys.argv, os.environ))
