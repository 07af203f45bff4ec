"""bpctl's commands for the bank on one machine: its processes, the partners, many customers."""

import typer

from sandbox.commands import load, partners, status


def register(app: typer.Typer) -> None:
    """Add the commands to bpctl, which looks for this function where the sandbox is present."""
    for command in (status, partners, load):
        command.register(app)
