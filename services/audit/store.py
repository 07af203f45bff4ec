"""The log in PostgreSQL: appends a batch in one transaction and reads pages."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg

from services.audit.chain import AuditRow, Entry, Head, link
from services.audit.heads import ChainHead
from services.audit.notes import Note, NoteHead, noted
from services.audit.positions import position_of
from services.audit.settings import CHAINS
from services.audit.verify import Finding, Kind
from services.chassis.postgres import load_queries
from services.kernel.clock import utc_now

COLUMNS = tuple(field.name for field in fields(AuditRow))
NOTE_COLUMNS = tuple(field.name for field in fields(Note))
CURSOR_ROWS = 250

_QUERIES = Path(__file__).parent / "sql" / "queries.sql"


@dataclass(frozen=True, slots=True)
class Turn:
    """The right of one process to sign, as long as it holds the signing lock."""

    heads: tuple[ChainHead, ...]
    """The heads of all chains when the process got the lock."""
    changed: Callable[[Sequence[ChainHead]], Awaitable[list[ChainHead]]]
    """Returns those of earlier heads whose links are missing or have a different hash now."""
    confirm: Callable[[], Awaitable[object]]
    """Raises if the session ended, because its lock was then released."""


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
            fresh, repeated = _told_apart(entries, {row["event_id"]: row for row in recorded})
            ends = {h["chain"]: Head(h["sequence"], h["hash"], h["record_time"]) for h in heads}
            rows = link(fresh, ends, utc_now())
            if rows:
                await connection.copy_records_to_table(
                    "record",
                    schema_name="audit",
                    columns=COLUMNS,
                    records=[tuple(getattr(row, name) for name in COLUMNS) for row in rows],
                )
            if repeated:
                await self._note(connection, repeated)
        return len(rows)

    async def _note(self, connection: Any, repeated: Sequence[Entry]) -> None:
        """Note repetitions that have no note; the chains are locked, so the check is exact."""
        wanted = {(*position_of(entry), entry.event_id): entry for entry in repeated}
        columns = zip(*wanted, strict=True)
        for known in await connection.fetch(self._queries.already_noted, *columns):
            wanted.pop(tuple(known), None)
        chains = sorted({entry.chain for entry in wanted.values()})
        heads = await connection.fetch(self._queries.note_heads, chains)
        ends = {row["chain"]: NoteHead(row["sequence"], row["hash"]) for row in heads}
        await connection.copy_records_to_table(
            "repeated",
            schema_name="audit",
            columns=NOTE_COLUMNS,
            records=[astuple(note) for note in noted(wanted.values(), ends)],
        )

    @asynccontextmanager
    async def turn_to_sign(self) -> AsyncGenerator[Turn | None]:
        """Yield the right to sign, under the signing lock; None if another process holds it."""
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(self._queries.try_lock_signing):
                rows = await connection.fetch(self._queries.heads_to_sign, range(CHAINS))
                heads = tuple(_chain_head(row) for row in rows)
                confirm = partial(connection.execute, self._queries.confirm_session)
                yield Turn(heads, partial(self._changed, connection), confirm)
            else:
                yield None

    async def _changed(self, connection: Any, heads: Sequence[ChainHead]) -> list[ChainHead]:
        places = ([head.chain for head in heads], [head.sequence for head in heads])
        rows = await connection.fetch(self._queries.hashes, *places)
        hashes = {row["chain"]: row["hash"] for row in rows}
        return [head for head in heads if hashes.get(head.chain) != head.hash]

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


async def keep_session(connection: Any) -> None:
    """Let the session stay idle in a transaction for the whole verification."""
    await connection.execute(load_queries(_QUERIES).keep_session)


async def whole_chain(
    connection: Any, chain: int, from_sequence: int = 0
) -> AsyncGenerator[AuditRow]:
    """Yield the links of a chain in order; the connection must be in a transaction."""
    query = load_queries(_QUERIES).whole_chain
    async for row in connection.cursor(query, chain, from_sequence, prefetch=CURSOR_ROWS):
        yield AuditRow(**row)


async def recorded_links(connection: Any, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, AuditRow]:
    """Return the link of each recorded event, in any chain."""
    query = load_queries(_QUERIES).recorded_links
    rows = await connection.fetch(query, ids, min(ids), max(ids)) if ids else []
    return {row["event_id"]: AuditRow(**row) for row in rows}


async def rows_outside(connection: Any, chains: int) -> AsyncGenerator[Finding]:
    """Yield a finding for each link and note of a chain that does not exist.

    `chains` is the number of chains. The connection must be in a transaction.
    """
    queries = load_queries(_QUERIES)
    for kind, query in (
        (Kind.INSERTED, queries.links_outside),
        (Kind.NOTE_FORGED, queries.notes_outside),
    ):
        rows = connection.cursor(query, chains, prefetch=CURSOR_ROWS)
        async for chain, sequence, event_id in rows:
            detail = f"there is no chain {chain}, the last is {chains - 1}"
            yield Finding(kind, chain, sequence, str(event_id), detail)


async def notes_of_chain(connection: Any, chain: int) -> AsyncGenerator[tuple[Note, bool]]:
    """Yield the notes of a chain in order, and for each whether its event is recorded in the same
    source partition. The connection must be in a transaction.
    """
    query = load_queries(_QUERIES).notes_of_chain
    async for row in connection.cursor(query, chain, prefetch=CURSOR_ROWS):
        *columns, on_record = row
        yield Note(*columns), on_record


def _chain_head(row: Any) -> ChainHead:
    return ChainHead(**{name: value for name, value in row.items() if value is not None})


def _told_apart(
    entries: Sequence[Entry], recorded: Mapping[uuid.UUID, Any]
) -> tuple[list[Entry], list[Entry]]:
    """Return the first entry of each new event, and the entries that repeat a recorded event."""
    known = {
        event_id: (row["source_topic"], row["source_partition"], row["source_offset"])
        for event_id, row in recorded.items()
    }
    fresh: list[Entry] = []
    repeated: list[Entry] = []
    for entry in entries:
        position = position_of(entry)
        if entry.event_id not in known:
            known[entry.event_id] = position
            fresh.append(entry)
        elif known[entry.event_id] != position:
            repeated.append(entry)
    return fresh, repeated
