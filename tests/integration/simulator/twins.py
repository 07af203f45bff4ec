"""Sends every statement to two databases, which must return the same result."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from lab.simulator.stores.books import Books
from lab.simulator.stores.database import Database, Row, sqlstate_of
from lab.simulator.stores.outbox import Outbox
from lab.simulator.stores.payments_tables import PaymentsTables
from lab.simulator.stores.schema import queries_of, taught
from lab.simulator.stores.transfers_tables import TransfersTables


class _Deaf:
    """Ignores every report."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_: None


class Simulated:
    """The simulated database without faults."""

    def __init__(self) -> None:
        deaf: Any = _Deaf()
        self.database = Database()
        self.books = Books(self.database, deaf)
        self.outbox = Outbox(self.database, deaf)
        self.payments = PaymentsTables(self.database, self.books, self.outbox, deaf, deaf, _now)
        self.transfers = TransfersTables(
            self.database,
            self.books,
            self.outbox,
            self.payments.keys,
            self.payments.declines_of_hour,
            _now,
        )


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Said:
    """A database's answer: rows, or the SQLSTATE of its error."""

    rows: tuple[tuple[tuple[str, Any], ...], ...] = ()
    sqlstate: str = ""


class Twins:
    """One schema in both databases."""

    def __init__(self, pool: asyncpg.Pool, service: str, tables: object, database: Database):
        self._pool = pool
        self.sql = queries_of(service)
        self._handlers = taught(self.sql, tables)
        self._database = database

    async def say(self, name: str, *args: Any, only: set[Any] | None = None) -> Said:
        """Send a statement to both and fail unless they agree; `only` names our own rows."""
        statement = getattr(self.sql, name)
        try:
            real = [dict(row) for row in await self._pool.fetch(statement, *args)]
            there = Said(_sorted([row for row in real if _ours(row, only)]))
        except asyncpg.PostgresError as error:
            real, there = [], Said(sqlstate=sqlstate_of(error))
        here = self._simulated(statement, args, real, only)
        assert here == there, f"{name}{args}: simulated {here}, PostgreSQL {there}"
        return there

    def _simulated(
        self, statement: str, args: Sequence[Any], real: Sequence[Row], only: set[Any] | None
    ) -> Said:
        try:
            rows = self._database.transact(self._handlers[statement], args)
        except asyncpg.PostgresError as error:
            return Said(sqlstate=sqlstate_of(error))
        # The simulated rows carry more columns than the statement lists.
        columns = real[0].keys() if real else None
        shown = [{k: v for k, v in row.items() if columns is None or k in columns} for row in rows]
        return Said(_sorted([row for row in shown if _ours(row, only)]))


def _ours(row: Row, only: set[Any] | None) -> bool:
    return only is None or row.get("transfer_id") in only


def _sorted(rows: Sequence[Row]) -> tuple[tuple[tuple[str, Any], ...], ...]:
    return tuple(sorted((tuple(sorted(row.items())) for row in rows), key=repr))


async def outbox_rows(pool: asyncpg.Pool, subjects: Sequence[UUID]) -> list[tuple[Any, ...]]:
    """Return the rows of some transfers in PostgreSQL's outbox, in order."""
    rows: list[Any] = await pool.fetch(
        "SELECT subject, key, topic, event_id, event_type, payload, positions FROM outbox.event"
        " WHERE subject = ANY ($1) ORDER BY id",
        subjects,
    )
    return [(*row[:6], [tuple(one) for one in row["positions"]]) for row in rows]


def simulated_outbox_rows(outbox: Outbox) -> list[tuple[Any, ...]]:
    """Return the same columns of all rows in the simulated outbox."""
    columns = ("subject", "key", "topic", "event_id", "event_type", "payload")
    return [
        (*(row[column] for column in columns), [tuple(one.values()) for one in row["positions"]])
        for _, row in sorted(outbox.waiting.items())
    ]
