"""Signed statements, and the offsets that must have a record."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.audit.chain import AuditRow, Entry, Head, link
from services.audit.heads import ChainHead, Mark, Signed, Statement, encode, next_statement, parse
from services.audit.positions import (
    RELEASE_MAX,
    UPGRADED_AFTER,
    JudgedLinks,
    PositionsCheck,
)
from services.audit.verify import Finding, Kind
from services.audit.verify_heads import UNSIGNED_MAX, HeadsCheck, StatementsCheck
from services.kernel.ids import new_id

NOW = datetime(2026, 7, 4, 12, 0, 0, 123_456, tzinfo=UTC)
CHAIN = 3
YEAR = timedelta(days=365)
LATER = NOW + 2 * YEAR


def rows(count: int) -> list[AuditRow]:
    entries = [
        Entry(
            chain=CHAIN,
            event_id=new_id(),
            event_type="bp.payments.v1.TransferDebited",
            source_topic="payments",
            source_partition=1,
            source_offset=n,
            subject="s",
            occur_time=NOW,
            log_offset=2 * n,
            payload=b"e",
        )
        for n in range(count)
    ]
    return link(entries, {}, NOW)


def head_of(row: AuditRow) -> ChainHead:
    return ChainHead(row.chain, row.sequence, row.hash, row.record_time, row.log_offset)


def signed_after(last: Signed | None, head: ChainHead, now: datetime) -> Signed:
    marks = [Mark(), Mark.of(last)] if last else [Mark()]
    statement = next_statement(marks, [head], now, last.statement if last else None)
    return Signed(statement, encode(statement), "vault:v1:AA==")


def statements(*heads: ChainHead, each: timedelta = timedelta(minutes=1)) -> list[Signed]:
    signed: list[Signed] = []
    for number, head in enumerate(heads):
        signed.append(signed_after(signed[-1] if signed else None, head, NOW + number * each))
    return signed


def checked(signed: list[Signed], now: datetime = LATER) -> StatementsCheck:
    check = StatementsCheck(Mark.of(signed[-1]), now)
    for one in signed:
        check.feed(one, genuine=True)
    return check


def compared(
    signed: list[Signed], links: Iterable[AuditRow], now: datetime = LATER
) -> list[Finding]:
    """Return where a chain differs from the statements about it."""
    heads = HeadsCheck(CHAIN)
    for one in signed:
        heads.feed_head(one.statement)
    for row in links:
        heads.feed(row)
    heads.end()
    return heads.finish(signed[-1].statement, now)


def test_a_statement_is_read_back_from_its_line_and_no_other_form_of_it_is() -> None:
    (one,) = statements(head_of(rows(1)[0]))
    assert parse(one.line) == one
    spaced = one.body.replace(b":", b": ", 1) + b"\t" + one.signature.encode()
    for line in (b"", one.body, one.line[:-40], one.line[:80], b"{}\tx", spaced, b"\xff\tx"):
        assert parse(line) is None


def test_the_time_of_statements_never_goes_back() -> None:
    head = head_of(rows(1)[0])
    first = signed_after(None, head, NOW)
    second = signed_after(first, head, NOW - timedelta(minutes=2))
    assert second.statement.sign_time == NOW
    assert checked([first, second]).finish() == []


def test_a_link_whose_hash_differs_from_its_signed_head_is_named_once_with_the_first_head() -> None:
    links = rows(9)
    signed = statements(*(head_of(row) for row in links[2::3]))
    other = links[:4] + [replace(row, hash=bytes(32)) for row in links[4:]]
    (found,) = compared(signed, other)
    assert (found.kind, found.chain, found.sequence) == (Kind.HEAD_MISMATCH, CHAIN, 6)
    assert "(2 signed heads differ)" in found.detail


def test_a_forged_statement_proves_nothing() -> None:
    links = rows(2)
    check = StatementsCheck(Mark(), NOW)
    (one,) = statements(head_of(links[1]))
    check.feed(one, genuine=False)
    assert [f.kind for f in check.finish()] == [Kind.HEAD_FORGED]
    assert (check.first, check.last) == (None, None)


@pytest.mark.parametrize("late_s", [-1, 1])
def test_an_end_that_is_unsigned_for_too_long_is_named(late_s: int) -> None:
    link_time = NOW + UNSIGNED_MAX + timedelta(seconds=late_s)
    links = rows(2)
    late = (links[0], replace(links[1], record_time=link_time))
    found = compared(statements(head_of(links[0])), late)
    assert [f.kind for f in found] == ([Kind.UNSIGNED] if late_s > 0 else [])


def test_a_time_without_signatures_is_a_note_only_if_links_were_written() -> None:
    first, second = (head_of(row) for row in rows(2))
    day = timedelta(days=1)
    assert checked(statements(first, first, each=day)).notes == []
    (note,) = checked(statements(first, replace(second, record_time=NOW + day), each=day)).notes
    assert "no head was signed from 2026-07-04 12:00:00 to 2026-07-05 12:00:00" in note


def at(offset: int, chain: int = 0, topic: str = "t") -> AuditRow:
    """Return a link for an offset of a source topic."""
    (row,) = rows(1)
    return replace(row, chain=chain, source_topic=topic, source_partition=0, source_offset=offset)


def positions() -> PositionsCheck:
    return PositionsCheck({("t", 0)})


def gaps(check: PositionsCheck, end: int = 100) -> list[str]:
    found = check.finish({("t", 0): end})
    return [one.detail.removesuffix(" of t/0 not recorded") for one in found]


def test_offsets_from_before_the_first_signed_head_are_not_judged() -> None:
    """Each of the two chains has older links, in which repetitions were not noted."""
    check = positions()
    for offset, chain in ((0, 0), (3, 6)):
        check.feed(at(offset, chain), counts=False)
    check.feed(at(7))
    assert gaps(check) == [], "the other chain has no link that counts yet"
    check.feed(at(10, 6))
    check.feed(at(13))
    assert gaps(check) == ["offsets 11 to 12"]


def test_offsets_above_the_last_recorded_one_are_not_judged() -> None:
    check = positions()
    check.feed(at(0))
    check.excuse([("t", 0, 9)])
    assert gaps(check) == []


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 200_000 + b"\tx",
        b'{"number":1e999}\tx',
        b"[" * 5_000 + b"\tx",
        b'{"number":1,"sign_time":"2026-07-04","previous":"","heads":[{"chain":Infinity}]}\tx',
    ],
    ids=["long", "infinite number", "nested", "infinite chain"],
)
def test_a_hostile_line_is_no_statement(line: bytes) -> None:
    assert parse(line) is None


def test_a_clock_that_was_ahead_does_not_date_later_statements() -> None:
    head = head_of(rows(1)[0])
    ahead = signed_after(None, head, NOW + YEAR)
    after = signed_after(ahead, head, NOW)
    assert after.statement.sign_time == NOW
    check = checked([ahead, after])
    assert check.finish() == []
    (note,) = check.notes
    assert "backwards from 2027-07-04 12:00:00 to 2026-07-04 12:00:00 after statement 1" in note


def test_a_statement_of_the_future_is_named_while_it_is_the_last_one() -> None:
    ahead = signed_after(None, head_of(rows(1)[0]), NOW + YEAR)
    (found,) = checked([ahead], NOW).finish()
    assert (found.kind, found.sequence) == (Kind.CLOCK, 1)
    assert checked([ahead], NOW + YEAR).finish() == []


def dated(row: AuditRow, time: datetime) -> AuditRow:
    return replace(row, record_time=time)


def test_a_statement_of_the_future_does_not_hide_that_signing_has_stopped() -> None:
    links = rows(3)
    late = [dated(links[1], NOW), dated(links[2], NOW + UNSIGNED_MAX + timedelta(seconds=1))]
    ahead = signed_after(None, head_of(links[0]), NOW + YEAR)
    found = compared([ahead], [links[0], *late], late[-1].record_time)
    assert [f.kind for f in found] == [Kind.UNSIGNED]


def test_a_link_of_the_future_is_named_while_it_is_the_last_one_and_is_not_unsigned() -> None:
    links = rows(3)
    future = dated(links[1], NOW + YEAR)
    signed = statements(head_of(links[0]), head_of(future))
    kinds = [f.kind for f in compared(signed, [links[0], future], NOW)]
    assert kinds == [Kind.CLOCK]
    assert checked(signed).notes == []
    after = dated(links[2], NOW + timedelta(minutes=1))
    assert compared(signed, [links[0], future, after], NOW + timedelta(minutes=1)) == []


def test_a_time_that_is_far_ahead_is_not_continued_along_a_chain() -> None:
    first, second = rows(2)
    head = Head(first.sequence, first.hash, NOW + YEAR)
    entry = Entry(*(getattr(second, name) for name in Entry.__slots__))
    (after,) = link([entry], {CHAIN: head}, NOW)
    assert after.record_time == NOW
    near = Head(first.sequence, first.hash, NOW + timedelta(minutes=1))
    (after,) = link([entry], {CHAIN: near}, NOW)
    assert after.record_time == near.record_time


def test_an_offset_that_kafka_never_gave_is_named_and_is_no_gap() -> None:
    check = positions()
    for offset in (0, 1, 3, 10**12):
        check.feed(at(offset))
    gap, impossible = check.finish({("t", 0): 5})
    assert (gap.kind, gap.detail) == (Kind.GAP, "offset 2 of t/0 not recorded")
    assert (impossible.kind, impossible.chain, impossible.sequence) == (Kind.POSITION, 0, 1)
    assert "offset 1000000000000 of t/0, which ends at 5" in impossible.detail


def test_a_record_of_a_topic_that_kafka_does_not_have_is_named() -> None:
    check = positions()
    check.feed(at(0))
    check.feed(at(10**12, topic="unknown"))
    assert [one.kind for one in check.finish({("t", 0): 1})] == [Kind.POSITION]


def counts(row: AuditRow, first: Statement | None, *read: AuditRow) -> bool:
    """Return whether a link counts in the check for gaps, after others were read."""
    judged = JudgedLinks()
    for one in read:
        judged.counts(one, first)
    return judged.counts(row, first)


def test_the_first_day_after_an_upgrade_is_not_judged() -> None:
    """Processes of the earlier version still record, and do not note repetitions."""
    (signed,) = statements(replace(head_of(rows(1)[0]), chain=0))
    first, covered = signed.statement, at(0)
    new = replace(covered, record_time=NOW - timedelta(minutes=1))
    row = replace(at(5), sequence=9, record_time=NOW + RELEASE_MAX)
    assert counts(row, first, new)
    before = replace(covered, record_time=NOW - UPGRADED_AFTER - timedelta(minutes=1))
    assert not counts(row, first, new, before)
    later = replace(row, record_time=row.record_time + timedelta(seconds=1))
    assert counts(later, first, replace(covered, record_time=NOW - YEAR))
    assert not counts(later, None, new)


def test_a_record_that_is_dated_back_does_not_make_the_log_older() -> None:
    """It would exempt the first day of a new log from the check for gaps."""
    (signed,) = statements(replace(head_of(rows(1)[0]), chain=0))
    dated_back = replace(at(4), sequence=8, record_time=NOW - YEAR)
    row = replace(at(5), sequence=9)
    assert counts(row, signed.statement, at(0), dated_back)
    assert counts(row, signed.statement, at(0), replace(dated_back, chain=5, sequence=1))
