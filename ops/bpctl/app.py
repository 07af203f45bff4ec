"""The command tree. Each group is a module with `register(app)`; nothing else is wired here.

The sandbox and the lab add their own commands where their folders are present. An operator's
machine has neither.
"""

from __future__ import annotations

import importlib

import typer

from ops.bpctl import audit, auth, ledger, reviews, tokens, transfers
from ops.bpctl.connections import REPO
from ops.bpctl.failures import Commands

SANDBOX, LAB = "sandbox/commands/__init__.py", "lab/commands.py"
EXTENSIONS = {"sandbox.commands": (SANDBOX,), "lab.commands": (SANDBOX, LAB)}
"""A module with `register(app)` -> the files that must be present; the lab needs the sandbox."""


def build() -> typer.Typer:
    """Return the whole command line."""
    app = typer.Typer(
        name="bpctl",
        cls=Commands,
        help="Inspect and control the bank that runs on this machine.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
    )
    for group in (tokens, transfers, reviews, auth, ledger, audit):
        group.register(app)
    for module in EXTENSIONS:
        if all((REPO / path).is_file() for path in EXTENSIONS[module]):
            importlib.import_module(module).register(app)
    return app
