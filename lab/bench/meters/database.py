"""The cost of a run in PostgreSQL: statements, their time, and bytes written.

The counts come from pg_stat_statements, which counts every statement of every session, including
BEGIN and COMMIT. The services' driver sends no batches, so a statement is a round trip. Statements
of the superuser are omitted, because the bench and the stack send them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from services.chassis.postgres import load_queries

_SQL = Path(__file__).parent / "sql" / "statistics.sql"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of one role, with the number of its calls."""

    role: str
    text: str
    calls: int
    ms: float
    """Execution time on the server, including waits for locks and for the disk."""

    def since(self, before: Statement | None) -> Statement:
        """Return the increase since an earlier snapshot."""
        if before is None:
            return self
        return Statement(self.role, self.text, self.calls - before.calls, self.ms - before.ms)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The counters at one moment. Statements are keyed by role and statement id."""

    statements: Mapping[tuple[str, int], Statement]
    wal_bytes: int
    commits: int
    written_bytes: int
    flushes: int

    @classmethod
    async def take(cls, connection: asyncpg.Connection) -> Snapshot:
        """Read the counters of the whole cluster."""
        queries = load_queries(_SQL)
        rows = await connection.fetch(queries.statements)
        totals: Any = await connection.fetchrow(queries.totals)
        return cls(
            _statements(rows),
            int(totals["wal_bytes"]),
            int(totals["commits"]),
            int(totals["written_bytes"]),
            int(totals["flushes"]),
        )


@dataclass(frozen=True, slots=True)
class Work:
    """PostgreSQL's work between two snapshots."""

    statements: tuple[Statement, ...]
    """Sorted by time, largest first."""
    wal_bytes: int
    commits: int
    written_bytes: int
    """Bytes that PostgreSQL wrote: tables, indexes, and pages of its log with every rewrite."""
    flushes: int
    """How often the log was flushed to disk."""

    @property
    def round_trips(self) -> int:
        """Number of the bank's statements."""
        return sum(one.calls for one in self.statements)

    def by_role(self) -> dict[str, int]:
        """Return the number of statements of each role, largest first."""
        calls: dict[str, int] = {}
        for one in self.statements:
            calls[one.role] = calls.get(one.role, 0) + one.calls
        return dict(sorted(calls.items(), key=lambda item: -item[1]))


NO_WORK = Work((), 0, 0, 0, 0)


def between(before: Snapshot, after: Snapshot) -> Work:
    """Return the work between two snapshots."""
    added = (one.since(before.statements.get(key)) for key, one in after.statements.items())
    made = sorted((one for one in added if one.calls > 0), key=lambda one: -one.ms)
    return Work(
        tuple(made),
        after.wal_bytes - before.wal_bytes,
        after.commits - before.commits,
        after.written_bytes - before.written_bytes,
        after.flushes - before.flushes,
    )


def _statements(rows: Iterable[Any]) -> dict[tuple[str, int], Statement]:
    """A statement can appear once for each database, but a role has only one database."""
    return {
        (row["role"], row["query_id"]): Statement(
            row["role"], _one_line(row["query"]), row["calls"], row["ms"]
        )
        for row in rows
    }


def _one_line(query: str) -> str:
    return " ".join(query.split())
