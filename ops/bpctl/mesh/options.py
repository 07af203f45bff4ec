"""Arguments and options that several commands of `bpctl mesh` have."""

from pathlib import Path
from typing import Annotated

import typer

from ops.bpctl.connections import REPO

CONFIG = REPO / "mesh" / "config"

Folder = Annotated[
    Path, typer.Argument(help="The folder with the YAML files.", show_default="mesh/config")
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Why = Annotated[str, typer.Option("--why", "-m", help="The reason, for the history.")]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait until every proxy has acknowledged it.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=600, help="Seconds to wait.")]
Force = Annotated[
    bool, typer.Option("--force", help="Put it in force even if it denies live payments.")
]
Parent = Annotated[
    int | None,
    typer.Option(
        "--parent",
        min=0,
        help="Refuse it (exit code 6) unless this revision is in force. "
        "Default: the one in force when the command starts.",
    ),
]
