"""`bpctl audit`: verify that nothing in the immutable log was changed."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import asyncpg
import orjson
import typer
from rich.console import Console
from rich.table import Table

from ops.bpctl import connections
from ops.display import shown
from ops.waiting import until
from services.audit.head_files import HeadFiles, HeadStore
from services.audit.heads import Mark, Signed
from services.audit.inspection import Report, Trust, inspect
from services.audit.notary import KEY, MARK_PATH, mark_of, verdicts, verification_of
from services.audit.settings import HEADS_FOLDER
from services.audit.signing import CHANNEL
from services.audit.verify import ALL_CHAINS
from services.chassis.unreachable import is_notification_queue_full

FINDINGS_SHOWN_MAX = 200

SIGNED_WITHIN_S = 10.0
"""How long a verification waits for a new signed head."""

OLDER = "records after the last signed head are verified without one"

SinceHead = Annotated[
    bool,
    typer.Option(
        "--since-head/--all",
        help="Read each chain from its last signed head instead of from its start. A chain that"
        " no longer has that head is still read from its start.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(help="Verify the audit log.", no_args_is_help=True)
    app.add_typer(group, name="audit")

    @group.command()
    def verify(  # pyright: ignore[reportUnusedFunction]
        as_json: Json = False, since_head: SinceHead = False
    ) -> None:
        """Find any changed, removed, reordered or inserted record. Exit code 1 if there is one."""
        report = asyncio.run(_report(since_head))
        if as_json:
            typer.echo(orjson.dumps(_facts(report)).decode())
        else:
            _show(report)
        raise typer.Exit(0 if report.ok else 1)


async def _report(since_head: bool) -> Report:
    connection = await connections.connect("bp_audit")
    token = connections.vault_token()
    heads = HeadFiles(_heads_folder())
    try:
        unsigned = await have_signed(connection, heads)
        report = await inspect(
            connection,
            connections.addresses()["BP_KAFKA_BOOTSTRAP"],
            Trust(heads, partial(_verified, token), partial(_mark, token)),
            since_head=since_head,
        )
        return replace(report, notes=[*unsigned, *report.notes])
    finally:
        await connection.close()


def _heads_folder() -> Path:
    return Path(os.environ.get("BP_HEADS_FOLDER") or connections.home() / HEADS_FOLDER)


async def have_signed(connection: asyncpg.Connection, heads: HeadStore) -> list[str]:
    """Ask the audit service for a new signed head; return notes on why there is none.

    The verification does not depend on it: without a new head, it uses the last one.
    """
    before = await asyncio.to_thread(heads.last)

    async def signed() -> bool:
        return await asyncio.to_thread(heads.last) != before

    try:
        await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
    except asyncpg.ProgramLimitExceededError as error:
        if not is_notification_queue_full(error):
            raise
        return [f"the audit service could not be asked for a new signed head: {error}; {OLDER}"]
    try:
        await until(signed, SIGNED_WITHIN_S, "the audit service signs the heads")
    except TimeoutError:
        return [f"the audit service signed no new head in time; {OLDER}"]
    return []


async def _verified(token: str, batch: list[Signed]) -> list[bool]:
    answer = await asyncio.to_thread(
        connections.vault_call,
        *("POST", f"transit/verify/{KEY}", token, verification_of(batch)),
    )
    return verdicts(answer)


async def _mark(token: str) -> Mark:
    answer = await asyncio.to_thread(
        connections.vault_call, "GET", f"secret/data/{MARK_PATH}", token
    )
    return mark_of(answer["data"]["data"])


def _facts(report: Report) -> dict[str, object]:
    return {
        "ok": report.ok,
        "chains": report.chains,
        "records": report.records,
        "events": report.events,
        "signed_heads": report.signed_heads,
        "excused_offsets": report.excused_offsets,
        "notes": report.notes,
        "findings": [asdict(finding) for finding in report.findings],
    }


def _show(report: Report) -> None:
    console = Console()
    console.print(
        f"{report.records:,} records in {report.chains} chains,"
        f" compared with {report.events:,} events in the topic"
        f" and {report.signed_heads:,} signed heads"
    )
    if report.excused_offsets:
        console.print(
            f"{report.excused_offsets:,} offsets have no record and are explained"
            " (repeated, parked or waiting)"
        )
    for note in report.notes[:FINDINGS_SHOWN_MAX]:
        console.print(shown(note, "yellow"))
    if report.ok:
        console.print("[green]no record was changed, removed, reordered or inserted[/]")
        return
    table = Table("finding", "chain", "sequence", "event", "reason")
    for one in report.findings[:FINDINGS_SHOWN_MAX]:
        chain = "" if one.chain == ALL_CHAINS else str(one.chain)
        sequence = str(one.sequence or "")
        table.add_row(one.kind, chain, sequence, shown(one.event_id), shown(one.detail))
    console.print(table)
    console.print(f"[red]{len(report.findings)} findings[/]")
