"""Any single change to a valid chain is found and named."""

import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit.chain import AuditRow, Entry, Head, digest, link
from services.audit.verify import ChainCheck, Finding, Kind
from services.audit.verify_topic import Span, TopicCheck

RECORD_TIME = datetime(2026, 7, 4, 12, tzinfo=UTC)


def entries(count: int) -> list[Entry]:
    return [
        Entry(
            chain=3,
            event_id=uuid.UUID(int=n + 1),
            event_type="bp.payments.v1.TransferDebited",
            source_topic="payments",
            source_partition=1,
            source_offset=n,
            subject=f"transfer-{n}",
            occur_time=RECORD_TIME + timedelta(microseconds=n),
            log_offset=2 * n,
            payload=bytes([n % 256]) * 5,
        )
        for n in range(count)
    ]


def chain(count: int) -> list[AuditRow]:
    return link(entries(count), {}, RECORD_TIME)


def _head(rows: list[AuditRow]) -> Head:
    return Head(rows[-1].sequence, rows[-1].hash, rows[-1].record_time)


def test_the_time_never_goes_back_along_a_chain() -> None:
    """Another process, whose clock is behind, continues the chain."""
    first, *more = entries(3)
    rows = link([first], {}, RECORD_TIME)
    later = link(more, {3: _head(rows)}, RECORD_TIME - timedelta(minutes=2))
    assert [row.record_time for row in later] == [RECORD_TIME] * 2
    assert check_chain([*rows, *later]) == []


def check_chain(rows: Iterable[AuditRow]) -> list[Finding]:
    """Return the errors in one chain, found from its links alone."""
    check = ChainCheck(3)
    for row in rows:
        check.feed(row)
    return check.finish()


def check_against_topic(
    rows: Iterable[AuditRow], events: Iterable[Entry], span: Span
) -> list[Finding]:
    """Return the differences between one chain and its partition of the topic."""
    rows, check = list(rows), TopicCheck(3, span)
    waiting = deque(events)
    for row in rows:
        while waiting and waiting[0].log_offset <= row.log_offset:
            check.feed_entry(waiting.popleft())
        check.feed_row(row)
    check.end_of_rows()
    for entry in waiting:
        check.feed_entry(entry)
    recorded = {row.event_id: row for row in rows}
    for entry in check.unknown():
        check.is_repeated(entry, recorded.get(entry.event_id))
    return check.finish(span.low)


def rehashed(row: AuditRow) -> AuditRow:
    return replace(row, hash=digest(row))


def mutated(row: AuditRow, column: str) -> AuditRow:
    value = getattr(row, column)
    changed: dict[type, object] = {
        int: value + 1 if isinstance(value, int) else None,
        str: f"{value}x",
        bytes: bytes([value[0] ^ 1]) + value[1:] if isinstance(value, bytes) else None,
        uuid.UUID: uuid.UUID(int=999_999),
        datetime: value + timedelta(microseconds=1) if isinstance(value, datetime) else None,
    }
    return replace(row, **{column: changed[type(value)]})


SIZES = st.integers(2, 30)
COLUMNS = st.sampled_from([f.name for f in fields(AuditRow) if f.name != "sequence"])


@given(SIZES)
def test_a_correct_chain_has_no_findings(size: int) -> None:
    assert check_chain(chain(size)) == []


@given(SIZES)
def test_batches_continue_each_others_chain(size: int) -> None:
    first = chain(size)
    more = [replace(e, event_id=uuid.UUID(int=5000 + e.log_offset)) for e in entries(3)]
    second = link(more, {3: _head(first)}, RECORD_TIME)
    assert check_chain(first + second) == []


@given(SIZES, st.data(), COLUMNS)
def test_a_changed_column_of_any_link_is_found_and_the_link_named(
    size: int, data: st.DataObject, column: str
) -> None:
    rows = chain(size)
    place = data.draw(st.integers(0, size - 1))
    rows[place] = mutated(rows[place], column)
    found = check_chain(rows)
    assert (Kind.CHANGED, place + 1) in {(f.kind, f.sequence) for f in found}


@given(SIZES, st.data())
def test_a_changed_link_with_a_recomputed_hash_is_found_at_the_next_link(
    size: int, data: st.DataObject
) -> None:
    rows = chain(size)
    place = data.draw(st.integers(0, size - 2))
    rows[place] = rehashed(replace(rows[place], payload=b"forged"))
    assert [(f.kind, f.sequence) for f in check_chain(rows)] == [(Kind.CHANGED, place + 1)]


@given(SIZES, st.data())
def test_a_removed_link_is_named(size: int, data: st.DataObject) -> None:
    rows = chain(size)
    place = data.draw(st.integers(0, size - 2))
    del rows[place]
    assert [(f.kind, f.sequence) for f in check_chain(rows)] == [(Kind.REMOVED, place + 1)]


@given(SIZES, st.data())
def test_a_removed_link_is_named_even_when_later_ones_are_renumbered(
    size: int, data: st.DataObject
) -> None:
    rows = chain(size)
    place = data.draw(st.integers(0, size - 2))
    del rows[place]
    rows = [replace(row, sequence=n + 1) for n, row in enumerate(rows)]
    found = {(f.kind, f.sequence) for f in check_chain(rows)}
    assert (Kind.REMOVED, place + 1) in found
    assert {kind for kind, _ in found} == {Kind.REMOVED, Kind.REORDERED}


@given(st.integers(2, 30), st.data())
def test_links_that_changed_places_are_named_with_the_place_where_they_belong(
    size: int, data: st.DataObject
) -> None:
    rows = chain(size)
    one, two = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    rows[one], rows[two] = (
        replace(rows[two], sequence=one + 1),
        replace(rows[one], sequence=two + 1),
    )
    found = check_chain(rows)
    assert {(f.kind, f.sequence) for f in found} == {
        (Kind.REORDERED, one + 1),
        (Kind.REORDERED, two + 1),
    }


@given(SIZES, st.data(), st.booleans())
def test_an_inserted_link_is_named_with_and_without_a_fitting_hash(
    size: int, data: st.DataObject, fitting: bool
) -> None:
    rows = chain(size)
    place = data.draw(st.integers(1, size - 1))
    forged = replace(rows[place], event_id=uuid.UUID(int=777), payload=b"forged")
    forged = rehashed(forged) if fitting else replace(forged, hash=bytes(32))
    later = [replace(row, sequence=row.sequence + 1) for row in rows[place:]]
    found = check_chain([*rows[:place], forged, *later])
    named = {(f.kind, f.event_id) for f in found}
    assert (Kind.INSERTED, str(forged.event_id)) in named
    assert {kind for kind, _ in named} == {Kind.INSERTED, Kind.REORDERED}


@given(SIZES, st.data())
def test_a_second_link_with_the_same_number_is_named(size: int, data: st.DataObject) -> None:
    rows = chain(size)
    place = data.draw(st.integers(0, size - 1))
    forged = replace(rows[place], event_id=uuid.UUID(int=777))
    both = data.draw(st.permutations([rows[place], forged]))
    found = check_chain([*rows[:place], *both, *rows[place + 1 :]])
    assert (Kind.INSERTED, str(forged.event_id)) in {(f.kind, f.event_id) for f in found}


def _against_topic(rows: list[AuditRow], size: int) -> set[tuple[Kind, str]]:
    span = Span(low=0, committed=2 * size)
    return {(f.kind, f.event_id) for f in check_against_topic(rows, entries(size), span)}


@given(SIZES)
def test_a_cut_tail_is_found_by_comparison_with_the_topic(size: int) -> None:
    rows = chain(size)
    assert _against_topic(rows, size) == set()
    assert check_chain(rows[:-1]) == []
    assert _against_topic(rows[:-1], size) == {(Kind.REMOVED, str(rows[-1].event_id))}


@given(SIZES)
def test_links_of_events_that_are_not_committed_yet_are_no_finding(size: int) -> None:
    assert check_against_topic(chain(size - 1), entries(size), Span(low=0, committed=0)) == []


@given(SIZES, st.data())
def test_a_chain_recomputed_to_its_end_is_found_by_comparison_with_the_topic(
    size: int, data: st.DataObject
) -> None:
    forged = entries(size)
    place = data.draw(st.integers(0, size - 1))
    forged[place] = replace(forged[place], payload=b"forged")
    rows = link(forged, {}, RECORD_TIME)
    assert check_chain(rows) == []
    assert _against_topic(rows, size) == {(Kind.CHANGED, str(rows[place].event_id))}


@given(SIZES)
def test_a_link_that_never_was_an_event_is_found_by_comparison_with_the_topic(size: int) -> None:
    forged = replace(entries(1)[0], event_id=uuid.UUID(int=777), log_offset=2 * size - 1)
    rows = link([*entries(size), forged], {}, RECORD_TIME)
    assert check_chain(rows) == []
    assert _against_topic(rows, size) == {(Kind.INSERTED, str(forged.event_id))}


def test_an_event_that_came_twice_is_on_record_once_and_that_is_no_finding() -> None:
    twice = [*entries(4), replace(entries(4)[1], source_offset=99, log_offset=50)]
    span = Span(low=0, committed=60)
    assert check_against_topic(chain(4), twice, span) == []


@pytest.mark.parametrize(
    "column", ["payload", "event_type", "subject", "occur_time", "source_topic", "source_partition"]
)
def test_a_record_that_replaces_an_event_of_the_topic_is_found(column: str) -> None:
    """The topic no longer holds its offset, so it could only repeat an earlier event."""
    rows = chain(4)
    forged = rehashed(replace(mutated(rows[3], column), log_offset=1))
    found = check_against_topic([*rows[:3], forged], entries(4), Span(low=2, committed=60))
    assert [(one.kind, one.event_id) for one in found] == [(Kind.CHANGED, str(forged.event_id))]


def test_a_record_of_an_event_in_another_chain_is_found() -> None:
    event, row = entries(4)[3], replace(chain(4)[3], chain=5)
    check = TopicCheck(3, Span(low=0, committed=60))
    assert not check.is_repeated(event, row)
    (found,) = check.finish(0)
    assert (found.kind, found.chain, found.event_id) == (Kind.INSERTED, 5, str(row.event_id))
