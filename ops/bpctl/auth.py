"""`bpctl auth …`: what operators do about a customer's logins.

Reading uses the judge's database role. A request uses the operator's role, which can only record
it. Auth carries it out within a second and writes it to the audit trail, with the operator and the
note.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Annotated, Any

import typer

from ops.bpctl import breached, connections, reviewer
from ops.bpctl.tokens import customer_id
from ops.bpctl.transfers import Json, table
from ops.waiting import until

ANSWER_S = 10.0
SESSIONS_MAX = 1000
"""More than a customer can have at once."""

SESSIONS = """
SELECT s.session_id, s.create_time, s.refresh_time, s.expire_time, s.device_id, d.device_name
FROM auth.session s LEFT JOIN auth.device d USING (device_id)
WHERE s.customer_id = $1 AND s.end_time IS NULL AND s.expire_time > now()
ORDER BY s.session_id DESC
LIMIT $2
"""
REQUEST = "SELECT auth.request_by_operator($1, $2, $3, $4, $5)"
ANSWER = "SELECT auth.answer_to_operator($1)"

NO_ANSWER = (
    "Auth has not answered yet. The request is recorded, and auth carries it out as soon as it"
    " runs. Check with `make status`."
)
Customer = Annotated[str, typer.Option(help="User name (such as ana) or customer id.")]
Note = Annotated[str, typer.Option(help="The reason, for the record.")]


def register(app: typer.Typer) -> None:
    """Add the group `auth`."""
    auth = typer.Typer(no_args_is_help=True, help="Logins of customers: locks and sessions.")
    auth.command()(sessions)
    auth.command()(unlock)
    auth.command("end-sessions")(end_sessions)
    breached.register(auth)
    app.add_typer(auth, name="auth")


def sessions(customer: Customer, as_json: Json = False) -> None:
    """List the customer's sessions that have not ended, newest first."""
    found = asyncio.run(_sessions(uuid.UUID(customer_id(customer))))
    if as_json:
        typer.echo(json.dumps({"sessions": found}, default=str))
        return
    columns = ("create_time", "refresh_time", "session_id", "device_name")
    table(f"Sessions of {customer}", found, columns)


def unlock(customer: Customer, note: Note) -> None:
    """End the locks of the customer's account and devices.

    Network addresses and sessions stay locked. In a locked session the customer logs in again.
    """
    counters, os_user = _request("UNLOCK", customer, note)
    typer.echo(f"Unlocked {customer}, as {os_user}. Counters of tries that were reset: {counters}.")


def end_sessions(customer: Customer, note: Note) -> None:
    """End all sessions of the customer. Services refuse their tokens within five seconds."""
    ended, os_user = _request("END_SESSIONS", customer, note)
    typer.echo(f"Ended the sessions of {customer}, as {os_user}. Sessions that ended: {ended}.")


def _request(kind: str, customer: str, note: str) -> tuple[int, str]:
    """Return how many counters or sessions auth ended, and the operating-system user."""
    try:
        reason = reviewer.checked_note(note)
    except ValueError as error:
        connections.fail(f"{error}.")
    os_user = reviewer.os_user()
    subject = uuid.UUID(customer_id(customer))
    answer = asyncio.run(_answered(kind, subject, os_user, reason))
    if answer is None:
        connections.fail(f"The customer {customer} has no login.")
    return answer, os_user


async def _answered(kind: str, subject: uuid.UUID, os_user: str, note: str) -> int | None:
    """Record the request and wait for auth; None if the customer has no login."""
    connection, request_id = await connections.connect_operator(), uuid.uuid4()
    try:
        if not await connection.fetchval(REQUEST, request_id, kind, subject, os_user, note):
            return None
        return await _answer(connection, request_id)
    finally:
        await connection.close()


async def _answer(connection: Any, request_id: uuid.UUID) -> int:
    async def answered() -> tuple[int] | None:
        ended = await connection.fetchval(ANSWER, request_id)
        return None if ended is None else (ended,)

    try:
        (ended,) = await until(answered, ANSWER_S)
    except TimeoutError:
        connections.fail(NO_ANSWER, connections.AWAY)
    return ended


async def _sessions(subject: uuid.UUID) -> list[dict[str, Any]]:
    connection = await connections.connect("bp_auth")
    try:
        return [dict(row) for row in await connection.fetch(SESSIONS, subject, SESSIONS_MAX)]
    finally:
        await connection.close()
