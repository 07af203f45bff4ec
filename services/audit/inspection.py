"""Reads the log, its topic and the signed heads, and passes them to the checks of `verify.py`,
`verify_heads.py`, `verify_topic.py` and `positions.py`, for `bpctl audit verify`.

The log is read once, all chains in step (`reading.py`). Links with events that the topic still
holds are read again, chain by chain, in step with the topic. So memory use does not grow with the
log.

Every event that the group has committed must be recorded in its own chain, with its own content. A
link whose offset is past the end of the topic was never an event.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from services.audit.chain import Entry, Head
from services.audit.head_files import HeadStore
from services.audit.heads import Mark, Signed, Statement
from services.audit.notary import VERIFIED_TOGETHER_MAX
from services.audit.positions import JudgedLinks, Position, PositionsCheck, position_of
from services.audit.reading import ChainReading, Reading
from services.audit.settings import CHAINS
from services.audit.store import (
    keep_session,
    notes_of_chain,
    recorded_links,
    rows_outside,
    whole_chain,
)
from services.audit.topic import READ_ROWS, Topic
from services.audit.verify import ALL_CHAINS, Finding, Findings
from services.audit.verify_heads import StatementsCheck
from services.audit.verify_topic import LOOKED_UP_TOGETHER, Span, TopicCheck, ids_of
from services.kernel.clock import utc_now

Item = TypeVar("Item")
Verify = Callable[[list[Signed]], Awaitable[list[bool]]]
"""Returns for each statement whether its signature is valid."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the log is verified against, in addition to its topic."""

    heads: HeadStore
    verify: Verify
    mark: Callable[[], Awaitable[Mark]]
    """Reads the mark of the last statement."""


@dataclass(slots=True)
class Report:
    """What the verification read and found."""

    chains: int = 0
    records: int = 0
    events: int = 0
    """Events of the topic that were compared."""
    excused_offsets: int = 0
    """Offsets of source topics that have no record because they are repeated, parked or waiting."""
    signed_heads: int = 0
    """Signed statements that were checked."""
    findings: list[Finding] = field(default_factory=list[Finding])
    notes: list[str] = field(default_factory=list[str])
    """Facts that are not signs of tampering, such as a period without signed heads."""

    @property
    def ok(self) -> bool:
        """True when there are no findings."""
        return not self.findings


async def inspect(
    connection: Any,
    bootstrap: str,
    trust: Trust,
    *,
    since_head: bool = False,
    chains: int = CHAINS,
) -> Report:
    """Verify every chain: by itself, against its partition and against the signed heads.

    With `since_head`, a chain is read from the last signed head, and from its start only if it no
    longer has that head. The connection only reads.
    """
    topic = await asyncio.to_thread(Topic, bootstrap)
    try:
        seen = PositionsCheck(await asyncio.to_thread(topic.partitions))
        inspection = _Inspection(connection, topic, trust, chains, seen)
        await inspection.run(since_head)
    finally:
        await asyncio.to_thread(topic.close)
    return inspection.report


class _Statements:
    """The statements that were kept at the start, verified as they are read."""

    def __init__(self, trust: Trust, mark: Mark, now: datetime) -> None:
        self._trust = trust
        self._kept = trust.heads.statements()
        self.check = StatementsCheck(mark, now)

    async def genuine(self) -> AsyncGenerator[Statement]:
        """Yield the statements that have a valid signature, in order."""
        while batch := await asyncio.to_thread(_taken, self._kept, VERIFIED_TOGETHER_MAX):
            for signed, genuine in zip(batch, await self._trust.verify(batch), strict=True):
                self.check.feed(signed, genuine=genuine)
                if genuine:
                    yield signed.statement


@dataclass(slots=True)
class _Inspection:
    """One verification: what it reads from, and what it has collected over the chains."""

    connection: Any
    topic: Topic
    trust: Trust
    chains: int
    seen: PositionsCheck
    report: Report = field(default_factory=Report)
    spans: dict[int, Span] = field(default_factory=dict[int, Span])
    """What each partition of the topic holds, read before the log."""
    judged: JudgedLinks = field(default_factory=JudgedLinks)
    held: dict[int, int] = field(default_factory=dict[int, int])
    """Chain -> sequence of the first link that may still have its event in the topic."""
    outside: Findings = field(default_factory=lambda: Findings(ALL_CHAINS))
    """Links and notes of chains that do not exist."""

    async def run(self, since_head: bool) -> None:
        """Verify all chains."""
        # The mark is read first, so that a statement signed later does not seem missing. The
        # statements are read before the log, so that the log has the links of each.
        mark = await self.trust.mark()
        statements = _Statements(self.trust, mark, utc_now())
        for chain in range(self.chains):
            self.spans[chain] = await asyncio.to_thread(self.topic.span, chain)
        await keep_session(self.connection)
        async with self.connection.transaction(isolation="repeatable_read", readonly=True):
            starts: dict[int, Head] = {}
            if since_head:
                starts = await self._starts()
            reading = self._reading(starts, statements.genuine())
            await self._read(reading, statements.check, since_head=since_head)
            for one in reading.chains.values():
                await self._compare(one)
            if not since_head:
                await self._gaps()
            async for found in rows_outside(self.connection, self.chains):
                self.outside.take(found)
        self._conclude(reading, statements.check)

    async def _starts(self) -> dict[int, Head]:
        """Return the last signed heads of the chains that still have them."""
        last = await asyncio.to_thread(self.trust.heads.last)
        if last is None or not all(await self.trust.verify([last])):
            return {}
        found: dict[int, Head] = {}
        for head in last.statement.heads:
            links = whole_chain(self.connection, head.chain, head.sequence)
            async with aclosing(links):
                row = await anext(links, None)
            if row is not None and (row.sequence, row.hash) == (head.sequence, head.hash):
                found[head.chain] = Head(head.sequence, head.hash, head.record_time)
        return found

    def _reading(self, starts: dict[int, Head], statements: AsyncGenerator[Statement]) -> Reading:
        found: dict[int, ChainReading] = {}
        for chain in range(self.chains):
            start = starts.get(chain, Head())
            links = whole_chain(self.connection, chain, start.sequence)
            notes = notes_of_chain(self.connection, chain)
            found[chain] = ChainReading(chain, links, notes, start)
        return Reading(found, statements, self.seen.excuse)

    async def _read(
        self, reading: Reading, statements: StatementsCheck, *, since_head: bool
    ) -> None:
        async with aclosing(reading.links()) as links:
            async for one, row in links:
                if row.log_offset >= self.spans[one.chain].low:
                    self.held.setdefault(one.chain, row.sequence)
                if not since_head:
                    counts = self.judged.counts(row, statements.first)
                    self.seen.feed(row, counts=counts)

    async def _compare(self, one: ChainReading) -> None:
        """Compare the end of a chain with its partition of the topic."""
        chain = one.chain
        low = await asyncio.to_thread(self.topic.first_offset, chain)
        span = self.spans[chain]
        check = TopicCheck(chain, Span(max(span.low, low), span.committed))
        entries = _Entries(self.topic.entries(chain, check.span.low), check)
        async for note, _ in notes_of_chain(self.connection, chain):
            check.feed_note(note)
        if chain in self.held:
            async for row in whole_chain(self.connection, chain, self.held[chain]):
                await entries.feed_to(row.log_offset)
                check.feed_row(row)
                await self._look_up(check, at_least=LOOKED_UP_TOGETHER)
        check.end_of_rows()
        while await entries.feed_block():
            await self._look_up(check, at_least=LOOKED_UP_TOGETHER)
        await self._look_up(check)
        self.report.events += entries.count
        # Since then, events may have been deleted from the topic.
        low = await asyncio.to_thread(self.topic.first_offset, chain)
        self.report.findings += check.finish(low)

    async def _look_up(self, check: TopicCheck, *, at_least: int = 1) -> None:
        """Report events without a link at the expected place that are not recorded elsewhere."""
        unknown = check.unknown(at_least=at_least)
        known = await recorded_links(self.connection, ids_of(unknown))
        for entry in unknown:
            if check.is_repeated(entry, known.get(entry.event_id)):
                # An earlier version of the service may have omitted the note.
                self.seen.excuse([position_of(entry)])

    async def _gaps(self) -> None:
        """Find events of the source topics that have no record."""
        await asyncio.to_thread(lambda: self.seen.excuse(self._excused()))
        ends = await asyncio.to_thread(self.topic.ends, self.seen.sources())
        self.report.findings += self.seen.finish(ends)
        self.report.excused_offsets = self.seen.excused()

    def _excused(self) -> Iterator[Position]:
        for chain, span in self.spans.items():
            for entry in self.topic.entries(chain, span.committed, settled=False):
                position = position_of(entry)
                # A later event is recorded, so this one matters.
                if self.seen.is_before_last(position):
                    yield position
        yield from self.topic.parked(sorted({topic for topic, _ in self.seen.sources()}))

    def _conclude(self, reading: Reading, statements: StatementsCheck) -> None:
        now = utc_now()
        for one in reading.chains.values():
            self.report.findings += one.check.finish() + one.offsets.finish()
            self.report.findings += one.heads.finish(statements.last, now)
            self.report.notes += one.heads.notes
            self.report.findings += one.notes.finish()
            self.report.records += one.check.rows
        self.report.findings += self.outside.all()
        self.report.chains = self.chains
        self.report.findings += statements.finish()
        self.report.notes += statements.notes
        self.report.signed_heads = statements.count


class _Entries:
    """Passes the events of a partition to its check, in step with the links."""

    def __init__(self, entries: Iterator[Entry], check: TopicCheck) -> None:
        self._entries = entries
        self._check = check
        self._block: deque[Entry] = deque()
        self._ended = False
        self.count = 0
        """How many events were read."""

    async def feed_to(self, offset: int) -> None:
        """Feed the events up to an offset, or to the end of the partition."""
        while await self._filled() and self._block[0].log_offset <= offset:
            self._check.feed_entry(self._block.popleft())

    async def feed_block(self) -> bool:
        """Feed some events; False at the end of the partition."""
        if not await self._filled():
            return False
        while self._block:
            self._check.feed_entry(self._block.popleft())
        return True

    async def _filled(self) -> bool:
        if not self._block and not self._ended:
            self._block.extend(await asyncio.to_thread(_taken, self._entries, READ_ROWS))
            self.count += len(self._block)
            self._ended = not self._block
        return bool(self._block)


def _taken(items: Iterator[Item], count: int) -> list[Item]:
    return list(islice(items, count))
