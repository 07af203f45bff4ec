"""Compares ledger, transfers, keys and outbox of the Write DB with each other, in one snapshot.

The comparisons are SQL. The rows that other stores are compared with are returned as plain values.
"""

import uuid
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from ops.judge.findings import SAMPLES_MAX, Findings, Kind
from ops.judge.stores import WRITE_DATABASE, Stores, pages, queries
from ops.waiting import scaled_s

OVERDUE_S = 30
"""How long a pending transfer may wait for a worker after its lease ended."""

PENDING_DEADLINE_S = 15 * 60
"""How long a transfer may wait for the clearing house's answer before the judge reports it."""
SUBMITTED_DEADLINE_S = 5 * 24 * 3600
"""Settlement takes two banking days, with at most a long weekend between them."""

FIRST_ID = uuid.UUID(int=0)

_LISTED = {
    "interbank_postings": Kind.POSTINGS,
    "book_postings": Kind.POSTINGS,
    "entries_without_cause": Kind.ENTRY_WITHOUT_CAUSE,
    "keys": Kind.KEY,
    "book_keys": Kind.KEY,
    "traces_doubled": Kind.TRACE_DOUBLED,
    "outbox_waiting": Kind.OUTBOX_WAITING,
    "outbox_parked": Kind.OUTBOX_PARKED,
    "event_counts": Kind.EVENT_COUNT,
}
"""Queries that list differences; the first argument limits the rows."""


@dataclass(frozen=True, slots=True)
class Interbank:
    """The columns of an interbank transfer's row that other stores are compared with."""

    state: str
    version: int
    trace_number: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Place:
    """Topic, partition and offset of an event."""

    topic: str
    partition: int
    offset: int


@dataclass(slots=True)
class Bank:
    """The contents of the Write DB; every id is text."""

    interbank: dict[str, Interbank] = field(default_factory=dict[str, Interbank])
    published: dict[str, Place] = field(default_factory=dict[str, Place])
    published_from: uuid.UUID = FIRST_ID
    """The first event id of the months with stored published events."""
    accounts: dict[str, tuple[str, int, int]] = field(
        default_factory=dict[str, tuple[str, int, int]]
    )
    """Account -> currency, balance, position."""


def overdue_s() -> int:
    """Return OVERDUE_S scaled to this host: how late due work may be."""
    return round(scaled_s(OVERDUE_S))


async def read_bank(stores: Stores, findings: Findings) -> Bank:
    """Check the Write DB alone and return its contents."""
    async with stores.snapshot(WRITE_DATABASE) as connection:
        await _judge(connection, findings)
        return await _facts(connection)


async def _judge(connection: asyncpg.Connection, findings: Findings) -> None:
    sql = queries("write")
    for name, count in (await connection.fetchrow(sql.counts) or {}).items():
        findings.checked[name] += count
    for row in await connection.fetch(sql.ledger_check, SAMPLES_MAX * 10):
        ids = {name: row[name] for name in ("account_id", "transaction_id", "code", "currency")}
        findings.add(Kind.BOOKS, row["expected"], row["actual"], problem=row["problem"], **ids)
    for name, kind in _LISTED.items():
        findings.add_rows(kind, await connection.fetch(getattr(sql, name), SAMPLES_MAX))
    overdue = await connection.fetch(sql.overdue, SAMPLES_MAX, overdue_s())
    findings.add_rows(Kind.SAGA_OVERDUE, overdue)
    orphans = await connection.fetch(
        sql.in_clearing, SAMPLES_MAX, PENDING_DEADLINE_S, SUBMITTED_DEADLINE_S
    )
    findings.add_rows(Kind.CLEARING_OVERDUE, orphans)
    findings.add_rows(Kind.INTERNAL_BALANCE, await connection.fetch(sql.internal_balances))


async def _facts(connection: asyncpg.Connection) -> Bank:
    sql, bank = queries("write"), Bank()
    async for page in pages(connection, sql.interbank_transfers):
        bank.interbank.update((row["transfer_id"], _interbank(row)) for row in page)
    bank.published_from = await connection.fetchval(sql.published_from) or FIRST_ID
    async for page in pages(connection, sql.published):
        bank.published.update((row["event_id"], _place(row)) for row in page)
    async for page in pages(connection, sql.accounts):
        for row in page:
            account = (row["currency"], row["balance"], row["position"])
            bank.accounts[row["account_id"]] = account
    return bank


def _interbank(row: Any) -> Interbank:
    return Interbank(
        state=row["state"],
        version=row["version"],
        trace_number=row["trace_number"],
        amount=row["amount"],
        currency=row["currency"],
    )


def _place(row: Any) -> Place:
    return Place(row["topic"], row["partition"], row["kafka_offset"])
