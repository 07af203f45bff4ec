"""Commands that the lab adds to bpctl."""

import typer

from lab.chaos import command as chaos


def register(app: typer.Typer) -> None:
    """Add the lab's commands. bpctl calls this function if the lab is installed."""
    chaos.register(app)
