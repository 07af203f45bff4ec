"""bpctl's commands of the lab."""

import typer

from lab.chaos import command as chaos


def register(app: typer.Typer) -> None:
    """Add the commands to bpctl, which looks for this function where the lab is present."""
    chaos.register(app)
