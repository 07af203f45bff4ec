"""The command tree. Each first word is a module with `register(app)`; nothing else is wired here.

Some modules take a second to import, so a call imports only the one of its first word. The sandbox
and the lab add their commands where their folders are present. An operator's machine has neither.
"""

from __future__ import annotations

import importlib

import typer

from ops.bpctl.connections import REPO
from ops.bpctl.failures import Commands

COMMANDS = {
    "token": "ops.bpctl.tokens",
    "transfers": "ops.bpctl.transfers",
    "reviews": "ops.bpctl.reviews",
    "auth": "ops.bpctl.auth",
    "ledger": "ops.bpctl.ledger",
    "audit": "ops.bpctl.audit",
    "mesh": "ops.bpctl.mesh.commands",
    "status": "sandbox.commands.status",
    "sandbox": "sandbox.commands.partners",
    "load": "sandbox.commands.load",
    "chaos": "lab.chaos.command",
}
"""The first word of a call -> its module, in the order of the help."""

SANDBOX = "sandbox.commands"
"""The lab's commands need the sandbox."""


def build(first: str | None = None) -> typer.Typer:
    """Return the command line: the commands of one first word, or all if there are none for it."""
    app = typer.Typer(
        name="bpctl",
        cls=Commands,
        help="Inspect and control the bank that runs on this machine.",
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,
    )
    app.callback()(_keep_first_word)
    for module in [COMMANDS[first]] if first in COMMANDS else COMMANDS.values():
        if _is_present(module):
            importlib.import_module(module).register(app)
    return app


def _keep_first_word() -> None:
    """Without this callback, typer drops the name of a command that is the only one."""


def _is_present(module: str) -> bool:
    needed = (module, f"{SANDBOX}.__init__") if module.startswith("lab.") else (module,)
    return all((REPO / f"{each.replace('.', '/')}.py").is_file() for each in needed)
