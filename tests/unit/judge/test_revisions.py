"""The judge finds a revision without an event, and an event without a revision."""

import asyncio
import json
import uuid
from collections import Counter
from pathlib import Path

import pytest

from ops.judge.books import Place
from ops.judge.events import MESH_TOPIC, SourceEvent, Tale
from ops.judge.findings import Findings, Kind
from ops.judge.revisions import Revisions, compare_with_revisions, read, read_revisions
from ops.judge.topics import Span
from tests.rigs import sample_events


def _id(number: int) -> str:
    return str(uuid.UUID(int=number))


def _history(folder: Path, numbers: range, events: range, published: int) -> Path:
    (folder / "events").mkdir()
    for number in numbers:
        (folder / str(number)).mkdir()
    for number in events:
        event = sample_events.revision(number, _id(number))
        (folder / "events" / f"{number}.pb").write_bytes(event.SerializeToString())
    mark = {"number": published, "event_id": _id(published)}
    (folder / "events" / "published.json").write_text(json.dumps(mark))
    return folder


def _told(*numbers: int) -> Tale:
    place = Place(MESH_TOPIC, 0, 0)
    events = {_id(number): SourceEvent(place, b"") for number in numbers}
    return Tale(events=events, revisions={_id(number): number for number in numbers})


def _compared(tale: Tale, revisions: Revisions, low: int = 0) -> Counter[Kind]:
    findings = Findings()
    compare_with_revisions(tale, revisions, {(MESH_TOPIC, 0): Span(low, 9)}, findings)
    return findings.counts


def test_each_revision_is_published_waits_or_has_no_event_yet(tmp_path: Path) -> None:
    found = read(_history(tmp_path, range(3, 8), range(2, 7), 4))
    assert found.published == {_id(3): 3, _id(4): 4}
    assert found.others == {_id(5): 5, _id(6): 6}
    assert (found.without, found.first, found.last, found.waiting) == ([7], 3, 7, 3)
    findings = Findings()
    asyncio.run(read_revisions(tmp_path, findings))
    assert findings.counts == {Kind.OUTBOX_WAITING: 3}


OTHER = '{"number": 2, "event_id": "other"}'


@pytest.mark.parametrize("left", ["", "{", "[]", '{"number": null}', OTHER])
def test_without_a_mark_of_this_history_nothing_counts_as_published(
    tmp_path: Path, left: str
) -> None:
    history = _history(tmp_path, range(1, 3), range(1, 3), 2)
    (history / "events" / "published.json").write_text(left)
    assert read(history).waiting == 2


def test_where_no_control_plane_runs_there_are_no_revisions(tmp_path: Path) -> None:
    assert read(None) == read(tmp_path / "none") == read(tmp_path) == Revisions()


def test_a_published_event_is_lost_only_if_kafka_deleted_nothing() -> None:
    revisions = Revisions(published={_id(1): 1}, first=1)
    assert not _compared(_told(1), revisions)
    assert _compared(_told(), revisions) == {Kind.EVENT_LOST: 1}
    assert not _compared(_told(), revisions, low=1)


def test_an_event_without_a_revision_is_unknown() -> None:
    assert _compared(_told(1, 2), Revisions(published={_id(1): 1}, first=1)) == {
        Kind.EVENT_UNKNOWN: 1
    }
    assert _compared(_told(1), Revisions()) == {Kind.EVENT_UNKNOWN: 1}


def test_a_forged_event_of_revision_0_is_unknown() -> None:
    """It would look like one that the control plane has forgotten, although numbers begin at 1."""
    assert _compared(_told(0, 1), Revisions(published={_id(1): 1}, first=1)) == {
        Kind.EVENT_UNKNOWN: 1
    }


def test_an_event_of_a_forgotten_revision_or_before_its_mark_is_no_difference() -> None:
    revisions = Revisions(published={_id(2): 2}, others={_id(3): 3}, first=2)
    assert not _compared(_told(1, 2, 3), revisions)
