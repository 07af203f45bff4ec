"""`bpctl reviews …`: the transfers that need a manual review, and the decisions of reviewers.

Reading uses the judge's database role. A decision uses the reviewer's role, which can do nothing
else.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Annotated, Any

import typer

from ops.bpctl import connections, reviewer
from ops.bpctl.transfers import Json, fields, money, table

LIST_ROWS = 50

OPEN = """
SELECT transfer_id, create_time, state, amount, currency
FROM payments.interbank_transfer
WHERE fraud_review
ORDER BY transfer_id
LIMIT $1
"""
ONE = """
SELECT t.transfer_id, t.create_time, t.state, t.amount, t.currency, t.customer_id, t.account_id,
    t.beneficiary_name, t.routing_number, right(t.account_number, 4) AS account_number_end,
    t.trace_number, t.cancel_requester,
    CASE WHEN t.fraud_review THEN 'OPEN' ELSE r.decision END AS review,
    r.reviewer, r.os_user, r.note, r.decide_time, r.effect
FROM payments.interbank_transfer t
LEFT JOIN payments.review_decision r USING (transfer_id)
WHERE t.shard = ledger.shard_of($1) AND t.transfer_id = $1
    AND (t.fraud_review OR r.transfer_id IS NOT NULL)
"""
STATE = """
SELECT state FROM payments.interbank_transfer
WHERE shard = ledger.shard_of($1) AND transfer_id = $1
"""
DECIDE = "SELECT payments.decide_review($1, $2, $3, $4, $5)"

EFFECTS = {
    "NONE": "",
    "REQUESTED": "The bank asks the clearing house within five seconds to cancel it. Whether that"
    " succeeded is in its state: `bpctl reviews show {transfer_id}`.",
    "TOO_LATE": "It has settled, so it cannot be cancelled. Ask the beneficiary's bank to return"
    " it.",
    "NOT_NEEDED": "The customer has been credited again, so there is nothing to cancel.",
}
"""Effect of a decision -> the message to the reviewer; without one, the state has the message."""
REACHED = {
    **dict.fromkeys(("DEBITED", "OUTCOME_UNKNOWN", "SUBMITTED"), "The transfer continues."),
    "CANCELLING": "A cancellation of the transfer is in progress, and the approval does not stop"
    " it. Its outcome is in the state: `bpctl reviews show {transfer_id}`.",
    "COMPLETED": "The transfer has settled.",
    "FAILED": "The transfer has failed, and the customer has been credited again.",
    "CANCELLED": "The transfer has been cancelled, and the customer has been credited again.",
    "RETURNED": "The beneficiary's bank has returned the transfer, and the customer has been"
    " credited again.",
}
"""State of an approved transfer -> the message to the reviewer."""
MEANINGS = {
    "NONE": "the transfer was approved, which changed nothing about it",
    "REQUESTED": "the bank asked the clearing house to cancel it; the state says whether it did",
    "TOO_LATE": "it had settled, so it could not be cancelled",
    "NOT_NEEDED": "the customer had been credited again, so there was nothing to cancel",
}
"""Effect of a decision -> what it means in the record of a review."""

IS_BENEFICIARY = "The name of --by is the beneficiary's. Another person must decide."
"""The only refusal of `payments.decide_review` that its caller can cause."""

Transfer = Annotated[str, typer.Argument(help="Id of the transfer.")]
Note = Annotated[str, typer.Option(help="The reason for the decision, for the record.")]
Reviewer = Annotated[
    str,
    typer.Option(
        "--by", help="Your name; default: the user who logged in, who is recorded anyway."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group `reviews`."""
    reviews = typer.Typer(no_args_is_help=True, help="Transfers that a person has to review.")
    reviews.command("list")(list_open)
    for command in (show, clear, refuse):
        reviews.command()(command)
    app.add_typer(reviews, name="reviews")


def list_open(
    rows: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = LIST_ROWS,
    as_json: Json = False,
) -> None:
    """List the transfers that wait for a person, oldest first."""
    found = [dict(row) for row in asyncio.run(_rows(OPEN, rows))]
    if as_json:
        typer.echo(json.dumps({"reviews": found}, default=str))
        return
    shown = [row | {"amount": money(row)} for row in found]
    table("Open reviews", shown, ("create_time", "transfer_id", "amount", "state"))


def show(transfer: Transfer, as_json: Json = False) -> None:
    """Show one transfer in review, or a decision. Exit code 1 when it was never in review."""
    found = asyncio.run(_rows(ONE, _id(transfer)))
    if not found:
        connections.fail(f"{transfer} was never in review. See `bpctl reviews list`.")
    row = dict(found[0])
    if as_json:
        typer.echo(json.dumps(row, default=str))
        return
    row["amount"] = money(row)
    if row["effect"] is not None:
        row["effect"] = f"{row['effect']}: {MEANINGS[row['effect']]}"
    known = {k: v for k, v in row.items() if v is not None}
    table(f"Review of {transfer}", fields(known), ("field", "value"))


def clear(transfer: Transfer, note: Note, by: Reviewer = "") -> None:
    """Approve the transfer: it continues, unless it has ended or a cancellation is in progress."""
    _decide(transfer, "CLEARED", by, note)


def refuse(transfer: Transfer, note: Note, by: Reviewer = "") -> None:
    """Refuse the transfer: it is cancelled, if it can still be cancelled."""
    _decide(transfer, "REFUSED", by, note)


def _decide(transfer: str, decision: str, by: str, note: str) -> None:
    transfer_id, os_user = _id(transfer), reviewer.os_user()
    try:
        name = reviewer.checked_name(by or os_user.partition(" (")[0])
    except ValueError as error:
        connections.fail(f"{error}. Give it with --by.")
    try:
        reason = reviewer.checked_note(note)
    except ValueError as error:
        connections.fail(f"{error}.")
    effect = asyncio.run(_record(transfer_id, decision, name, reason, os_user))
    if effect is None:
        connections.fail(f"{transfer} is not in review. See `bpctl reviews list`.")
    # The decision is recorded, so it is printed also if the state cannot be read.
    typer.echo(f"{decision} by {name}, as {os_user}.")
    state = asyncio.run(_rows(STATE, transfer_id))[0]["state"] if effect == "NONE" else ""
    typer.echo(message(effect, state, transfer_id))


def message(effect: str, state: str, transfer_id: uuid.UUID) -> str:
    """Return what a decision did; `state` is the transfer's, needed only for the effect NONE."""
    told = EFFECTS[effect] or REACHED.get(state, f"The state of the transfer is {state}.")
    return told.format(transfer_id=transfer_id)


async def _rows(sql: str, argument: Any) -> list[Any]:
    connection = await connections.connect("bp_write")
    try:
        return await connection.fetch(sql, argument)
    finally:
        await connection.close()


async def _record(
    transfer_id: uuid.UUID, decision: str, name: str, note: str, os_user: str
) -> str | None:
    import asyncpg  # imported here: most commands need no database and start faster without it

    connection = await connections.connect_reviewer()
    try:
        return await connection.fetchval(DECIDE, transfer_id, decision, name, note, os_user)
    except asyncpg.RaiseError:
        connections.fail(IS_BENEFICIARY)
    finally:
        await connection.close()


def _id(text: str) -> uuid.UUID:
    if not text.strip():
        connections.fail("The transfer id is empty. `bpctl reviews list` shows the ids.")
    try:
        return uuid.UUID(text)
    except ValueError:
        connections.fail(f"{text} is not a transfer id. `bpctl reviews list` shows the ids.")
