"""Reads the log, its topic and the signed heads, and passes them to the checks of `verify.py`,
`verify_heads.py` and `positions.py`, for `bpctl audit verify`.

Every event that the group has committed must be recorded. A link whose offset is past the end of
the topic was never an event.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from services.audit.chain import AuditRow, Head
from services.audit.head_files import HeadStore
from services.audit.heads import Mark, Signed
from services.audit.notary import VERIFIED_TOGETHER_MAX
from services.audit.positions import PositionsCheck, position_of
from services.audit.settings import CHAINS
from services.audit.store import recorded_ids, repeated_positions, whole_chain
from services.audit.topic import Topic
from services.audit.verify import ChainCheck, Finding, Kind, Span, TopicCheck
from services.audit.verify_heads import HeadsCheck, StatementsCheck, Trusted

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
    """Facts that are not a sign of tampering, such as a time in which no head was signed."""

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
    report = Report()
    trusted = await _statements(trust, report)
    topic = await asyncio.to_thread(Topic, bootstrap)
    inspection = _Inspection(connection, topic, trusted, report, since_head)
    try:
        for chain in range(chains):
            await inspection.chain(chain)
        await inspection.positions(chains)
    finally:
        await asyncio.to_thread(topic.close)
    return report


async def _statements(trust: Trust, report: Report) -> Trusted:
    # The mark first: a statement that is signed meanwhile is then no missing one.
    mark = await trust.mark()
    check = StatementsCheck()
    statements = trust.heads.statements()
    while batch := list(islice(statements, VERIFIED_TOGETHER_MAX)):
        for signed, genuine in zip(batch, await trust.verify(batch), strict=True):
            check.feed(signed, genuine=genuine)
    report.findings += check.finish(mark)
    report.notes += check.notes
    report.signed_heads = check.count
    return check.trusted


@dataclass(slots=True)
class _Inspection:
    """One verification: what it reads from, and what it has collected over the chains."""

    connection: Any
    topic: Topic
    trusted: Trusted
    report: Report
    since_head: bool
    seen: PositionsCheck = field(default_factory=PositionsCheck)
    committed: dict[int, int] = field(default_factory=dict[int, int])

    async def chain(self, chain: int) -> None:
        """Verify one chain."""
        span = await asyncio.to_thread(self.topic.span, chain)
        head = await self._start(chain)
        links, compared = ChainCheck(chain, head), TopicCheck(chain)
        heads = HeadsCheck(chain, self.trusted, head.sequence)
        async with self.connection.transaction(isolation="repeatable_read", readonly=True):
            async for row in whole_chain(self.connection, chain, head.sequence):
                heads.feed(row)
                compared.feed_row(row)
                self._place(row, chain)
                if row.sequence > head.sequence:
                    links.feed(row)
        # Events may arrive while the log is read. Compared with the earlier end of the topic, their
        # links would look inserted.
        seen = await asyncio.to_thread(self.topic.span, chain)
        span = Span(max(span.low, seen.low), span.committed, seen.high)
        self.report.events += await asyncio.to_thread(self._compare, chain, span, compared)
        self.committed[chain] = span.committed
        self.report.chains += 1
        self.report.records += links.rows
        found = await self._unknown(compared.finish(span), head)
        self.report.findings += links.finish() + found + heads.finish()

    async def _start(self, chain: int) -> Head:
        """Return the last signed head if the chain is read from there and still has it."""
        last = self.trusted.last.head(chain) if self.since_head and self.trusted.last else None
        if last is None:
            return Head()
        async with self.connection.transaction(isolation="repeatable_read", readonly=True):
            async for row in whole_chain(self.connection, chain, last.sequence):
                if (row.sequence, row.hash) == (last.sequence, last.hash):
                    return Head(last.sequence, last.hash, last.record_time)
                break
        return Head()

    def _place(self, row: AuditRow, chain: int) -> None:
        """Take the link's position; before the first statement, repetitions were not noted."""
        first = self.trusted.first
        head = first.head(chain) if first is not None else None
        counts = first is not None and (head is None or row.sequence > head.sequence)
        self.seen.feed(position_of(row), chain, counts=counts and not self.since_head)

    def _compare(self, chain: int, span: Span, compared: TopicCheck) -> int:
        count = 0
        for entry in self.topic.entries(chain, span.low):
            compared.feed_entry(entry, span)
            count += 1
        return count

    async def _unknown(self, found: list[Finding], head: Head) -> list[Finding]:
        """Leave out events that are on record before the head from which the chain was read."""
        if not head.sequence:
            return found
        absent = [uuid.UUID(one.event_id) for one in found if one.kind is Kind.REMOVED]
        known = {str(one) for one in await recorded_ids(self.connection, absent)}
        return [one for one in found if one.event_id not in known or one.kind is not Kind.REMOVED]

    async def positions(self, chains: int) -> None:
        """Find events of the source topics that have no record."""
        if self.since_head:
            return
        self.seen.excuse(await repeated_positions(self.connection))
        places = {chain: self.committed[chain] for chain in range(chains)}
        excused = await asyncio.to_thread(self._excused, places)
        self.seen.excuse(excused)
        self.report.findings += self.seen.finish()
        self.report.excused_offsets = self.seen.excused()

    def _excused(self, places: dict[int, int]) -> Iterable[tuple[str, int, int]]:
        waiting: Iterator[tuple[str, int, int]] = (
            position_of(entry)
            for chain, offset in places.items()
            for entry in self.topic.entries(chain, offset, settled=False)
        )
        return {*waiting, *self.topic.parked(self.seen.topics())}
