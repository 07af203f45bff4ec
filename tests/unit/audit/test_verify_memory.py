"""The memory of a verification does not grow with the log."""

import asyncio
import tracemalloc
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from services.audit import verify as verify_chain
from services.audit import verify_topic
from services.audit.chain import AuditRow, Entry, Head, link
from services.audit.heads import ChainHead, Mark, Signed, Statement, encode, next_statement
from services.audit.notes import Note
from services.audit.positions import PositionsCheck
from services.audit.reading import ChainReading, Reading
from services.audit.verify import ChainCheck, Kind
from services.audit.verify_heads import StatementsCheck
from services.audit.verify_topic import Span, TopicCheck

START = datetime(2026, 7, 4, 12, tzinfo=UTC)
LATER = START + timedelta(days=9)
SOURCE = ("payments", 1)
ENDS = {SOURCE: 0}
CHAINS = 4
ROWS = 400
EVERY = 20
"""Links of all chains between two statements."""
LAG = 40
"""How many events later the last chain is recorded than the others."""
LIMIT = 30
GROWTH_MAX = 1.3


def entry(number: int) -> Entry:
    """Return an event of one source partition; its chain is almost random."""
    return Entry(
        chain=number * 7919 % 31 % CHAINS,
        event_id=uuid.UUID(int=number + 1),
        event_type="bp.payments.v1.TransferDebited",
        source_topic="payments",
        source_partition=1,
        source_offset=number,
        subject="s",
        occur_time=START + timedelta(seconds=number),
        log_offset=2 * number,
        payload=b"event",
    )


def rows_of(chain: int, count: int) -> Iterator[AuditRow]:
    """Yield one chain's links."""
    head, lag = Head(), LAG if chain == CHAINS - 1 else 0
    for number in range(count):
        one = entry(number)
        if one.chain == chain:
            (row,) = link([one], {chain: head}, one.occur_time + timedelta(seconds=lag))
            head = Head(row.sequence, row.hash, row.record_time)
            yield row


async def links(chain: int, count: int) -> AsyncGenerator[AuditRow]:
    for row in rows_of(chain, count):
        yield row


async def none() -> AsyncGenerator[tuple[Note, bool]]:
    """Yield no notes of repeated events."""
    for _ in ():
        yield _


async def statements(check: StatementsCheck, count: int) -> AsyncGenerator[Statement]:
    """Yield a statement after every EVERY events, from the links recorded so far."""
    recorded = {chain: rows_of(chain, count) for chain in range(CHAINS)}
    ahead = {chain: next(recorded[chain], None) for chain in recorded}
    heads: dict[int, ChainHead] = {}
    mark, last = Mark(), None
    for now in (START + timedelta(seconds=n) for n in range(0, count + LAG, EVERY)):
        for chain, rows in recorded.items():
            row = ahead[chain]
            while row is not None and row.record_time <= now:
                heads[chain] = ChainHead(
                    chain, row.sequence, row.hash, row.record_time, row.log_offset
                )
                row = ahead[chain] = next(rows, None)
        last = next_statement([mark], heads.values(), now, last)
        signed = Signed(last, encode(last), "vault:v1:AA==")
        mark = Mark.of(signed)
        check.feed(signed, genuine=True)
        yield last


async def verify(count: int) -> None:
    """Verify this many events, as an inspection does."""
    check, positions = StatementsCheck(Mark(), LATER), PositionsCheck(ENDS)
    chains = {n: ChainReading(n, links(n, count), none(), Head()) for n in range(CHAINS)}
    async for _, row in Reading(chains, statements(check, count), positions.excuse).links():
        positions.feed(row)
    found = [
        f
        for one in chains.values()
        for f in one.check.finish() + one.heads.finish(check.last, LATER)
    ]
    assert found + check.finish() + positions.finish({SOURCE: count}) == []
    assert sum(one.check.rows for one in chains.values()) == count


def verify_forged(count: int) -> None:
    """Verify a chain with every link changed, against a topic with different events."""
    chain, topic = ChainCheck(0), TopicCheck(0, Span(0, 10**9))
    for number in range(count):
        (row,) = link([entry(number)], {}, START)
        chain.feed(row)
        topic.feed_row(row)
        topic.feed_entry(entry(number + 10**6))
        for lost in topic.unknown():
            topic.is_repeated(lost, None)
    for findings in (chain.finish(), topic.finish(0)):
        assert len(findings) <= LIMIT + len(Kind)


def peak_bytes(run: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_memory_of_a_verification_does_not_grow_with_the_log() -> None:
    peak_bytes(lambda: asyncio.run(verify(ROWS)))
    small = peak_bytes(lambda: asyncio.run(verify(ROWS)))
    large = peak_bytes(lambda: asyncio.run(verify(10 * ROWS)))
    assert large < GROWTH_MAX * small


def test_the_memory_of_a_verification_does_not_grow_with_the_number_of_forged_links(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module, name in (
        (verify_chain, "FINDINGS_MAX"),
        (verify_chain, "PLACES_MAX"),
        (verify_topic, "WAITING_MAX"),
    ):
        monkeypatch.setattr(module, name, LIMIT)
    small, large = (peak_bytes(partial(verify_forged, count)) for count in (ROWS, 10 * ROWS))
    assert large < GROWTH_MAX * small
