"""The Write DB: ledger, transfers, keys and outbox against each other, in one snapshot.

The comparisons are SQL; what other stores are compared with comes back as plain facts.
"""

from dataclasses import dataclass, field

import asyncpg

from ops.judge.findings import SAMPLES_MAX, Findings, Kind
from ops.judge.stores import WRITE_DATABASE, Stores, pages, queries
from ops.waiting import scaled_s

OVERDUE_S = 30
"""How long after the end of its lease a pending transfer may still wait for a worker."""

PENDING_DEADLINE_S = 15 * 60
"""How long a transfer may owe the clearing house a question before a person should know."""
SUBMITTED_DEADLINE_S = 5 * 24 * 3600
"""Settlement takes two banking days; a long weekend lies between them at the most."""

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
"""Queries that list differences, first argument the most to name."""


@dataclass(frozen=True, slots=True)
class Interbank:
    """An interbank transfer as its row has it."""

    state: str
    version: int
    trace_number: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event went."""

    topic: str
    partition: int
    offset: int


@dataclass(slots=True)
class Bank:
    """What the Write DB says; every id is its text."""

    interbank: dict[str, Interbank] = field(default_factory=dict[str, Interbank])
    published: dict[str, Place] = field(default_factory=dict[str, Place])
    accounts: dict[str, tuple[str, int, int]] = field(
        default_factory=dict[str, tuple[str, int, int]]
    )
    """Account -> currency, balance, position."""


def overdue_s() -> int:
    """Return how long this host may be late with what is due."""
    return round(scaled_s(OVERDUE_S))


async def read_bank(stores: Stores, findings: Findings) -> Bank:
    """Judge the Write DB by itself and return what it says."""
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
        bank.interbank.update((row[0], Interbank(*row[1:])) for row in page)
    async for page in pages(connection, sql.published):
        bank.published.update((row[0], Place(*row[1:])) for row in page)
    async for page in pages(connection, sql.accounts):
        bank.accounts.update((row[0], (row[1], row[2], row[3])) for row in page)
    return bank
