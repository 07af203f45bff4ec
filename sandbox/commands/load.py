"""`bpctl load`: open as many customers as a benchmark needs."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated

import typer
from rich.console import Console

from ops.bpctl import connections
from sandbox.seed import cluster, planting


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def load(  # pyright: ignore[reportUnusedFunction]
        customers: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many in total.")],
        as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    ) -> None:
        """Open test customers load-000001, load-000002, …, each with 1,000,000.00 USD.

        Safe to repeat.
        """
        connections.require_running()
        begun = time.monotonic()
        console = Console(stderr=True)
        with console.status("opening customers") as shown:
            done = asyncio.run(
                planting.load(
                    cluster.connect, customers, lambda n: shown.update(f"{n:,} of {customers:,}")
                )
            )
        seconds = round(time.monotonic() - begun, 1)
        if as_json:
            facts = {"customers": done.customers, "opened": done.opened, "seconds": seconds}
            typer.echo(json.dumps(facts))
        else:
            typer.echo(f"{done.customers:,} customers, {done.opened:,} of them new, in {seconds} s")
