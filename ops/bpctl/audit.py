"""`bpctl audit`: verify that nothing in the immutable log was changed."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from ops.bpctl import connections
from services.audit.inspection import Report, inspect

FINDINGS_SHOWN_MAX = 200

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Verify the audit log.", no_args_is_help=True)
    app.add_typer(group, name="audit")

    @group.command()
    def verify(as_json: Json = False) -> None:  # pyright: ignore[reportUnusedFunction]
        """Find any changed, removed, reordered or inserted record. Exit code 1 if there is one."""
        report = asyncio.run(_report())
        if as_json:
            typer.echo(orjson.dumps(_facts(report)).decode())
        else:
            _show(report)
        raise typer.Exit(0 if report.ok else 1)


async def _report() -> Report:
    connection = await connections.connect("bp_audit")
    try:
        return await inspect(connection, connections.addresses()["BP_KAFKA_BOOTSTRAP"])
    finally:
        await connection.close()


def _facts(report: Report) -> dict[str, object]:
    return {
        "ok": report.ok,
        "chains": report.chains,
        "records": report.records,
        "events": report.events,
        "findings": [asdict(finding) for finding in report.findings],
    }


def _show(report: Report) -> None:
    console = Console()
    console.print(
        f"{report.records:,} records in {report.chains} chains,"
        f" compared with {report.events:,} events in the topic"
    )
    if report.ok:
        console.print("[green]no record was changed, removed, reordered or inserted[/]")
        return
    table = Table("finding", "chain", "sequence", "event", "reason")
    for one in report.findings[:FINDINGS_SHOWN_MAX]:
        table.add_row(one.kind, str(one.chain), str(one.sequence or ""), one.event_id, one.detail)
    console.print(table)
    console.print(f"[red]{len(report.findings)} findings[/]")
