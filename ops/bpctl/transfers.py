"""`bpctl transfers …`: show one transfer in every layer, or list a customer's newest transfers."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Annotated, Any

import typer

from ops.bpctl import connections, ledger, tokens

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
LIST_ROWS = 20
HASH_CHARS = 16
WHOLE = ("_id", "transfer", "account", "place", "hash", "trace_number", "TraceNumber")
"""The ends of the names of columns that are never folded."""
PENDING = ("DEBITED", "OUTCOME_UNKNOWN", "CANCELLING")
LEASE = ("lease_owner", "lease_until", "attempts")
INFINITE = "9999-12-31"
"""How PostgreSQL's infinity begins here: the bank no longer asks about a contradiction."""
TIMES = ("time", "Time", "_until")
"""The ends of the names of columns and fields with times."""


def register(app: typer.Typer) -> None:
    """Add the group `transfers`."""
    transfers = typer.Typer(no_args_is_help=True, help="Transfers in every layer of the bank.")
    transfers.command()(show)
    transfers.command("list")(list_newest)
    app.add_typer(transfers, name="transfers")


def show(
    name: Annotated[str, typer.Argument(help="Idempotency-Key, transfer id or trace number.")],
    as_json: Json = False,
) -> None:
    """Show a transfer in request, saga, ledger, outbox, Kafka, audit, ACH and push.

    Exit code 1 when no transfer has that key, id or trace number.
    """
    if not name.strip():
        connections.fail(
            "The name is empty. Give an Idempotency-Key, a transfer id or a trace number."
        )
    trails = asyncio.run(_trails(name))
    if not trails:
        connections.fail(
            f"No transfer has the name {name}."
            " Give its Idempotency-Key, its transfer id or its trace number."
        )
    if as_json:
        typer.echo(json.dumps({"transfers": trails}))
        return
    for one in trails:
        _show(one)


async def _trails(name: str) -> list[dict[str, Any]]:
    from ops.judge.trail import find, trail

    stores = ledger.stores()
    trails = [await trail(stores, *found) for found in await find(stores, name)]
    return [one | {"transfer": with_query_time(one["transfer"])} for one in trails]


def with_query_time(transfer: dict[str, Any]) -> dict[str, Any]:
    """Return a transfer's columns with the lease, or the time of the next query, if it has one.

    Only a worker that drives a pending transfer has a lease. While the transfer waits, and when it
    is SUBMITTED, the end of the lease is the time of the next query. A transfer that has ended has
    neither.
    """
    if transfer["state"] in PENDING and transfer["lease_owner"]:
        return transfer
    shown = {name: value for name, value in transfer.items() if name not in LEASE}
    if transfer["state"] in (*PENDING, "SUBMITTED"):
        until = transfer["lease_until"]
        shown |= {"next_query_time": "never" if until.startswith(INFINITE) else until}
        shown |= {"attempts": transfer["attempts"]}
    return shown


def list_newest(
    customer: Annotated[str, typer.Option(help="User name (such as ana) or customer id.")],
    rows: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = LIST_ROWS,
    as_json: Json = False,
) -> None:
    """List a customer's newest transfers, paid and received."""
    from ops.judge.trail import newest

    customer_id = uuid.UUID(tokens.customer_id(customer))
    found = asyncio.run(newest(ledger.stores(), customer_id, rows))
    if as_json:
        typer.echo(json.dumps({"transfers": found}))
        return
    columns = ("create_time", "state", "amount", "transfer")
    shown = [row | {"amount": money(row), "transfer": _named(row)} for row in found]
    table(f"Newest transfers of {customer}", shown, columns)


def _named(row: dict[str, Any]) -> list[str]:
    """Return a transfer's id, and below it its kind and trace number: short lines for a column."""
    return [row["transfer_id"], " ".join(filter(None, (row["kind"], row["trace_number"])))]


def _show(trail: dict[str, Any]) -> None:
    transfer = trail["transfer"]
    request = {"customer": f"{trail['customer']} ({transfer['customer_id']})"}
    request |= {k: v for k, v in transfer.items() if v not in (None, "") and k != "customer_id"}
    request["amount"] = money(transfer)
    table(
        f"Transfer {transfer['transfer_id']}",
        fields(request),
        ("field", "value"),
    )
    table("Saga steps", trail["steps"], ("version", "type", "occur_time", "place", "event_id"))
    table(
        "Ledger entries",
        _with_currency(trail["entries"]),
        ("kind", "account", "amount", "balance_after", "position", "post_time"),
    )
    table("Outbox", trail["outbox"], ("event_id", "state", "topic", "partition", "offset", "time"))
    table("Audit records", _short(trail["audit"]), ("event_id", "chain", "sequence", "hash"))
    _clearing_house(trail["clearing_house"], trail["notices"])
    _messages(trail["messages"])


def _with_currency(entries: Any) -> Any:
    if isinstance(entries, str):
        return entries
    amounts = ("amount", "balance_after")
    return [row | {name: money(row, name) for name in amounts} for row in entries]


def _short(records: Any) -> Any:
    if isinstance(records, str):
        return records
    return [row | {"hash": row["hash"][:HASH_CHARS] + "…"} for row in records]


def _clearing_house(theirs: Any, notices: Any) -> None:
    if theirs is None:
        table("Clearing house", [], ())
        return
    if isinstance(theirs, str):
        table("Clearing house", theirs, ())
        return
    columns = ("state", "achTraceNumber", "acceptTime", "effectiveDate", "returnReasonCode")
    table("Clearing house", [theirs], columns)
    columns = ("type", "state", "trace_number", "return_code", "receive_time", "notice_id")
    table("Clearing house notices", notices, columns)


def _messages(messages: Any) -> None:
    if isinstance(messages, str):
        table("Messages", messages, ())
        return
    rows: list[dict[str, Any]] = []
    for message in messages:
        for delivery in message["deliveries"] or [{}]:
            taken = [one.rsplit("/", 1)[-1] for one in delivery.get("taken", [])]
            rows.append(message | delivery | {"push": taken})
    columns = ("template", "title", "channel", "device", "state", "deliver_time", "push")
    table("Messages", rows, columns)


def money(row: dict[str, Any], name: str = "amount") -> str:
    """Return the amount in a field of a row, with its currency; "" if there is none."""
    if row[name] is None:
        return ""
    return f"{row[name] / 100:,.2f} {row['currency']}"


def fields(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row as a table of its fields, with times to the second."""
    from ops.display import short_time

    return [
        {"field": k.replace("_", " "), "value": short_time(v) if k.endswith(TIMES) else v}
        for k, v in row.items()
    ]


def table(title: str, rows: Any, columns: tuple[str, ...]) -> None:
    """Print rows as a table of these columns, or a text if there are no rows.

    A list in a row has one line for each of its values. Ids are never folded, so that they can be
    copied, and times are shown to the second.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ops.display import print_table, short_time, shown

    if isinstance(rows, str) or not rows:
        Console().print(Text.assemble(shown(title, "bold"), ": ", shown(rows or "none")))
        return
    printed = Table(title=shown(title, "bold"), title_justify="left")
    for name in columns:
        whole = name.endswith(WHOLE)
        printed.add_column(name.replace("_", " "), no_wrap=whole, overflow="fold")
    for row in rows:
        values = {name: row.get(name) for name in columns}
        values |= {name: short_time(values[name]) for name in columns if name.endswith(TIMES)}
        printed.add_row(*(shown("" if value is None else value) for value in values.values()))
    print_table(printed)
