"""`bpctl auth breached build`: make the list of breached passwords that auth reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.bpctl import connections
from ops.breached_list import SourceInvalid, build

INVALID = 2


def register(auth: typer.Typer) -> None:
    """Add the group `breached` to the group `auth`."""
    group = typer.Typer(no_args_is_help=True, help="The list of passwords that became public.")
    group.callback()(lambda: None)
    group.command(name="build")(build_list)
    auth.add_typer(group, name="breached")


def build_list(
    source: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    target: Annotated[Path, typer.Argument(dir_okay=False)],
    hashes: Annotated[
        bool,
        typer.Option(
            "--hashes",
            help="SOURCE is a hash list of Have I Been Pwned, ordered by hash. Without this"
            " option each line is a password.",
        ),
    ] = False,
) -> None:
    """Build the list TARGET from SOURCE.

    To use it, set BP_BREACHED_PASSWORDS_FILE to TARGET and restart auth."""
    try:
        count = build(source, target, are_hashes=hashes)
    except SourceInvalid as error:
        connections.fail(str(error), INVALID)
    typer.echo(f"Entries: {count}. Set BP_BREACHED_PASSWORDS_FILE={target} and restart auth.")
