"""`bpctl ledger check`: run the judge on every store of the running bank."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import typer

from ops.bpctl import connections
from ops.waiting import scaled_s

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]

WAIT_S = 30.0
UNREADABLE = "STORE_UNREADABLE"
"""The kind of difference that is no finding: without the store, others may be its consequence."""


def register(app: typer.Typer) -> None:
    """Add the group `ledger`."""
    ledger = typer.Typer(no_args_is_help=True, help="Check the ledger against the other stores.")
    ledger.callback()(lambda: None)
    ledger.command()(check)
    app.add_typer(ledger, name="ledger")


def check(
    as_json: Json = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for work in flight.")] = WAIT_S,
) -> None:
    """Compare ledger, transfers, outbox, Kafka, audit, notifications, projection, sessions of
    logins, revisions of the mesh and partners.

    Exit code 0 when they agree, 1 when they do not, 3 when a store could not be read.
    """
    from ops.judge.judge import judge

    verdict = asyncio.run(judge(stores(), scaled_s(wait))).to_json()
    if as_json:
        typer.echo(json.dumps(verdict))
    else:
        _show(verdict)
    if UNREADABLE in verdict["difference_counts"]:
        connections.fail(f"A store could not be read. {connections.CHECK}", connections.AWAY)
    raise typer.Exit(0 if verdict["ok"] else 1)


def stores() -> Any:
    """Return the addresses of the stores that the judge reads in the running stack."""
    from ops.judge.stores import Stores

    login = connections.judge_login()
    return Stores.of(connections.addresses(), login, connections.secret("valkey/judge"))


def _show(verdict: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ops.display import print_table, shown

    console = Console()
    checked = Table("item", "number", title="Compared", title_justify="left")
    for name, number in verdict["checked"].items():
        checked.add_row(name.replace("_", " "), f"{number:,}")
    console.print(checked)
    for what, number in verdict["waiting_for_partners"].items():
        waiting = ("waiting for a partner: ", "yellow")
        console.print(Text.assemble(waiting, shown(what), f": {number:,}"))
    if verdict["ok"]:
        console.print(
            f"[bold green]The books balance and all stores agree[/] ({verdict['seconds']} s)"
        )
        return
    found = Table("kind", title="Differences", title_justify="left")
    found.add_column("ids", no_wrap=True)
    found.add_column("expected", overflow="fold")
    found.add_column("actual", overflow="fold")
    for one in verdict["differences"]:
        ids = [f"{name} {value}" for name, value in one["ids"].items()]
        found.add_row(*(map(shown, (one["kind"], ids, one["expected"], one["actual"]))))
    print_table(found)
    for kind, number in verdict["difference_counts"].items():
        console.print(Text.assemble(shown(kind, "bold red"), f": {number:,}"))
