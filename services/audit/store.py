"""The log in PostgreSQL: appends a batch in one transaction and reads pages."""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import asyncpg

from services.audit.chain import AuditRow, Entry, Head, link
from services.chassis.postgres import load_queries
from services.kernel.clock import utc_now

COLUMNS = tuple(field.name for field in fields(AuditRow))
CURSOR_ROWS = 1000

_QUERIES = Path(__file__).parent / "sql" / "queries.sql"


class Store:
    """The log, accessed as role bp_audit."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._queries = load_queries(_QUERIES)

    async def append(self, entries: Sequence[Entry]) -> int:
        """Append the events that are not yet recorded; return their number.

        record_time is taken under the locks, immediately before writing, because the hash covers
        it. So it includes the wait for the chain's lock.

        A redelivered event has the same key and therefore the same chain. Under the chain's lock
        the check for recorded events is exact, and redelivered events are left out.
        """
        chains = sorted({entry.chain for entry in entries})
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(self._queries.lock_chains, chains)
            heads = await connection.fetch(self._queries.heads, chains)
            ids = [entry.event_id for entry in entries]
            recorded = await connection.fetch(self._queries.recorded, ids, min(ids), max(ids))
            fresh = _first_of_each(entries, {row["event_id"] for row in recorded})
            ends = {h["chain"]: Head(h["sequence"], h["hash"], h["record_time"]) for h in heads}
            rows = link(fresh, ends, utc_now())
            if rows:
                await connection.copy_records_to_table(
                    "record",
                    schema_name="audit",
                    columns=COLUMNS,
                    records=[tuple(getattr(row, name) for name in COLUMNS) for row in rows],
                )
        return len(rows)

    async def list_by_subject(
        self, subject: str, chain: int, sequence: int, rows: int
    ) -> list[AuditRow]:
        """Return up to `rows` records of a subject after a chain and sequence, oldest first."""
        found = await self._pool.fetch(self._queries.by_subject, subject, chain, sequence, rows)
        return [AuditRow(**row) for row in found]

    async def list_by_chain(self, chain: int, sequence: int, rows: int) -> list[AuditRow]:
        """Return up to `rows` records of a chain after a sequence, oldest first."""
        found = await self._pool.fetch(self._queries.by_chain, chain, sequence, rows)
        return [AuditRow(**row) for row in found]

    async def ensure_partitions(self, months_ahead: int) -> None:
        """Create the missing partitions of the coming months."""
        await self._pool.execute(self._queries.ensure_partitions, months_ahead)


async def whole_chain(connection: Any, chain: int) -> AsyncIterator[AuditRow]:
    """Yield all links of a chain in order; the connection must be in a transaction."""
    query = load_queries(_QUERIES).whole_chain
    async for row in connection.cursor(query, chain, prefetch=CURSOR_ROWS):
        yield AuditRow(**row)


def _first_of_each(entries: Sequence[Entry], recorded: set[uuid.UUID]) -> list[Entry]:
    """Return the first entry of each event that is not recorded yet."""
    fresh: dict[uuid.UUID, Entry] = {}
    for entry in entries:
        if entry.event_id not in recorded:
            fresh.setdefault(entry.event_id, entry)
    return list(fresh.values())
