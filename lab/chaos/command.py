"""`bpctl chaos run`: random faults on the running bank, then a verdict."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Annotated

import typer

from ops.bpctl import connections
from sandbox.stack.home import home_from_environment
from sandbox.stack.supervisor import control

SEED_MAX = 1_000_000
SECONDS = 60.0
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the command group `chaos`."""
    chaos = typer.Typer(
        no_args_is_help=True, help="Random faults on the running bank, then the judge."
    )
    chaos.callback()(lambda: None)
    chaos.command("run")(run_one)
    app.add_typer(chaos, name="chaos")


def run_one(
    seed: Annotated[
        int | None, typer.Option(help="Seed of the schedule to replay; default: random.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.25, max=60, help="Length of the schedule, in minutes.")
    ] = 2,
    healed_within: Annotated[
        float, typer.Option(min=1, help="Seconds within which the bank must heal.")
    ] = 30,
    as_json: Json = False,
) -> None:
    """Inject random faults into the running bank while customers pay, then compare all stores.

    The clearing house's clock advances by several banking days. Set BP_DEADLINE_FACTOR on a host
    that is slower than the documented one: it scales the time to heal.

    The exit code is 0 if nothing was lost or doubled and the bank healed in time, 1 if not, 2 if
    an option is invalid, and 3 if no bank runs.
    """
    from lab.chaos.runner import run
    from sandbox.stack.testing import RunningStack

    connections.addresses()  # exits with a remedy if no stack was ever started
    home = home_from_environment()
    if not control.is_running(home.control_socket):
        connections.fail("The bank is not running. Start it with `make up`.", 3)
    chosen = random.randrange(SEED_MAX) if seed is None else seed
    stack = RunningStack(home)
    running = run(
        stack,
        chosen,
        minutes * SECONDS,
        lambda line: typer.echo(line, err=as_json),
        healed_within_s=healed_within,
    )
    outcome = asyncio.run(running)
    if as_json:
        typer.echo(json.dumps(outcome.to_json()))
    else:
        typer.echo("\n".join(outcome.lines()))
    raise typer.Exit(0 if outcome.ok else 1)
