"""`bpctl status`: show the processes of the stack."""

from __future__ import annotations

from typing import Annotated

import typer

from sandbox.stack import cli
from sandbox.stack.home import home_from_environment

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def status(as_json: Json = False) -> None:  # pyright: ignore[reportUnusedFunction]
        """Show each process: its state, and why it is down. Exit code 3 when the bank is down."""
        raise typer.Exit(cli.show_status(home_from_environment(), as_json))
