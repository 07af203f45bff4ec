"""Reads all chains and the signed statements in step, and passes them to the checks.

The chain with the earliest next event is read next. So the events of one source partition, which
are in several chains, are read almost in the order of their offsets, and the signed heads of all
chains are needed at about the same time. Memory never holds them for the whole log.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.audit.chain import AuditRow, Head
from services.audit.heads import Statement
from services.audit.notes import Note, NoteHead, NotesCheck
from services.audit.positions import Position
from services.audit.verify import ChainCheck
from services.audit.verify_heads import HeadsCheck
from services.audit.verify_offsets import OffsetsCheck

NEVER = datetime.max.replace(tzinfo=UTC)
"""A time after every link."""


def due_time(row: AuditRow) -> datetime:
    """Return the time that orders links of different chains.

    A clock that was ahead, when the event occurred or was recorded, does not delay the chain.
    """
    return min(row.occur_time, row.record_time)


class ChainReading:
    """One chain: its next link, and the checks that need its links in order."""

    def __init__(
        self,
        chain: int,
        links: AsyncIterator[AuditRow],
        notes: AsyncIterator[tuple[Note, bool]],
        start: Head,
    ) -> None:
        self.chain = chain
        self.start = start
        """The link to start after; without one, the whole chain is read."""
        self.check = ChainCheck(chain, start)
        self.heads = HeadsCheck(chain, start.sequence)
        self.offsets = OffsetsCheck(chain)
        self.row: AuditRow | None = None
        """The next link; None at the end of the chain."""
        self.due = NEVER
        self.notes = NotesCheck(chain)
        self._links = links
        self._notes = notes

    async def advance(self) -> None:
        """Read the next link."""
        self.row = await anext(self._links, None)
        if self.row is None:
            self.heads.end()
        else:
            self.due = due_time(self.row)

    async def feed_head(self, statement: Statement) -> list[Position]:
        """Take the chain's signed head; return the positions that the notes up to it explain."""
        self.heads.feed_head(statement)
        head = statement.head(self.chain)
        if head is None or not statement.covers_notes:
            return []
        while self.notes.end.sequence < head.notes and await self.feed_note():
            pass
        return self.notes.signed(NoteHead(head.notes, head.notes_hash), head.log_offset)

    async def feed_note(self) -> bool:
        """Take the next note; False at the end."""
        found = await anext(self._notes, None)
        if found is None:
            return False
        note, on_record = found
        self.notes.feed(note, on_record=on_record)
        return True

    def feed(self, row: AuditRow) -> None:
        """Check the link."""
        self.heads.feed(row)
        self.offsets.feed(row)
        if row.sequence > self.start.sequence:
            self.check.feed(row)


@dataclass(slots=True)
class Reading:
    """All chains that are read, and the genuine statements."""

    chains: Mapping[int, ChainReading]
    statements: AsyncIterator[Statement]
    excuse: Callable[[Iterable[Position]], None]
    """Takes positions that hold a repeated event."""
    _full: set[int] = field(default_factory=set[int])

    async def links(self) -> AsyncGenerator[tuple[ChainReading, AuditRow]]:
        """Yield every link once it is checked, then check the statements to their end."""
        for one in self.chains.values():
            await one.advance()
        going = {one.chain: one for one in self.chains.values() if one.row is not None}
        while going:
            one = self._next(going)
            row = one.row
            assert row is not None  # noqa: S101 - chains at their end are removed
            if not one.heads.reaches(row.sequence) and await self._next_statement():
                continue
            one.feed(row)
            yield one, row
            await one.advance()
            if one.row is None:
                del going[one.chain]
        while await self._next_statement():
            pass
        for one in self.chains.values():
            # They are checked, but explain nothing before they are signed.
            while await one.feed_note():
                pass

    def _next(self, going: Mapping[int, ChainReading]) -> ChainReading:
        self._full = {chain for chain in self._full & going.keys() if going[chain].heads.is_full}
        if self._full:
            return going[min(self._full)]
        return min(going.values(), key=_due)

    async def _next_statement(self) -> bool:
        statement = await anext(self.statements, None)
        if statement is None:
            return False
        for one in self.chains.values():
            self.excuse(await one.feed_head(statement))
            if one.heads.is_full:
                self._full.add(one.chain)
        return True


def _due(one: ChainReading) -> datetime:
    return one.due
