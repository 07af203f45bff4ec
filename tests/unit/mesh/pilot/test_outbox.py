"""Which events are to be published, whatever happened to the files that say so."""

import shutil
from pathlib import Path

import pytest

from mesh.pilot import outbox
from mesh.pilot.history import Entry, History, Origin
from mesh.pilot.outbox import BATCH_MAX, Mark, Outbox, to_send
from mesh.pilot.revision_event import event_id_of, id_in, pb

ENTRY = Entry("ana", "a test", Origin.APPLY)


def _record(history: History, count: int = 1) -> None:
    for _ in range(count):
        number = len(history.numbers()) + 1
        history.record({"mesh.yaml": f"kind: A\nn: {number}\n".encode()}, ENTRY, pending=False)


def _publish(box: Outbox, newest: int) -> list[tuple[int, bytes]]:
    """Publish everything as the publisher does; return what was sent."""
    sent: list[tuple[int, bytes]] = []
    while numbers := box.prepare(newest):
        for number in numbers:
            event = box.event(number)
            assert event is not None
            sent.append((number, event))
            box.note_published(number, event)
    return sent


@pytest.fixture
def history(tmp_path: Path) -> History:
    """A history with three revisions."""
    made = History(tmp_path)
    _record(made, 3)
    return made


@pytest.mark.parametrize(
    ("numbers", "mark", "marked_id", "sent"),
    [
        ([], None, None, []),
        ([2, 1, 3], None, None, [1, 2, 3]),
        ([1, 2, 3], Mark(2, "b"), "b", [3]),
        ([1, 2, 3], Mark(3, "c"), "c", []),
        ([1, 2, 3], Mark(2, "b"), "x", [1, 2, 3]),
        ([1, 2, 3], Mark(7, "g"), None, [1, 2, 3]),
    ],
    ids=["none", "no mark", "one", "all", "other history", "older history"],
)
def test_what_is_to_be_sent(
    numbers: list[int], mark: Mark | None, marked_id: str | None, sent: list[int]
) -> None:
    assert to_send(numbers, mark, marked_id) == sent


def test_each_revision_is_published_once_and_in_order(tmp_path: Path, history: History) -> None:
    box = Outbox(history, tmp_path)
    sent = _publish(box, 3)
    assert [number for number, _ in sent] == [1, 2, 3]
    assert [id_in(event) for _, event in sent] == [event_id_of(history.get(n)) for n in (1, 2, 3)]
    assert _publish(box, 3) == []
    _record(history)
    assert [number for number, _ in _publish(Outbox(history, tmp_path), 4)] == [4]


def test_a_revision_that_is_not_in_force_yet_waits(tmp_path: Path, history: History) -> None:
    """It may still be withdrawn, and its number then belongs to another one."""
    box = Outbox(history, tmp_path)
    assert box.prepare(2) == [1, 2]
    assert box.event(3) is None


@pytest.mark.parametrize("left", [None, b"", b'{"number": 3', b'{"number": 3}', b"[3]", b"\xff"])
def test_a_lost_or_half_written_mark_sends_the_same_events_again(
    tmp_path: Path, history: History, left: bytes | None
) -> None:
    sent, mark = _publish(Outbox(history, tmp_path), 3), tmp_path / "events" / "published.json"
    mark.unlink()
    if left is not None:
        mark.write_bytes(left)
    assert _publish(Outbox(history, tmp_path), 3) == sent


def test_lost_events_are_made_again_with_the_same_ids(tmp_path: Path, history: History) -> None:
    sent = _publish(Outbox(history, tmp_path), 3)
    shutil.rmtree(tmp_path / "events")
    assert _publish(Outbox(history, tmp_path), 3) == sent


@pytest.mark.parametrize("left", [b"", b"\x0a\xff", b"\x0a\x02\x0a\x00"])
def test_a_damaged_event_is_made_again(tmp_path: Path, history: History, left: bytes) -> None:
    box = Outbox(history, tmp_path)
    box.prepare(3)
    whole = box.event(2)
    (tmp_path / "events" / "2.pb").write_bytes(left)
    assert box.event(2) is None
    box.recheck()
    assert box.prepare(3) == [1, 2, 3]
    assert box.event(2) == whole


def test_a_new_history_is_published_although_its_numbers_are_not_new(tmp_path: Path) -> None:
    """The events of the old one stay in its folder."""
    history = History(tmp_path)
    _record(history, 3)
    first = _publish(Outbox(history, tmp_path), 3)
    shutil.rmtree(tmp_path / "3")
    _record(history)
    second = _publish(Outbox(history, tmp_path), 3)
    assert [number for number, _ in second] == [1, 2, 3]
    assert second[:2] == first[:2]
    assert second[2] != first[2]


def test_after_an_older_history_is_put_back_its_next_revisions_are_published(
    tmp_path: Path, history: History
) -> None:
    """The events, and the mark, of the newer one are still there."""
    first = _publish(Outbox(history, tmp_path), 3)
    for number in (2, 3):
        shutil.rmtree(tmp_path / str(number))
    assert _publish(Outbox(history, tmp_path), 1) == first[:1]
    _record(history)
    ((number, event),) = _publish(Outbox(history, tmp_path), 2)
    assert number == 2
    assert event != first[1][1]


def test_a_damaged_revision_keeps_no_other_event_back(tmp_path: Path, history: History) -> None:
    (tmp_path / "1" / "meta.json").write_text("{")
    shutil.rmtree(tmp_path / "2" / "config")
    sent = _publish(Outbox(history, tmp_path), 3)
    assert [number for number, _ in sent] == [2, 3]
    facts = [pb.MeshEvent.FromString(event).mesh_config_revised for _, event in sent]
    assert [each.changes_unknown for each in facts] == [True, True]


def test_many_events_are_made_in_batches(tmp_path: Path) -> None:
    history = History(tmp_path)
    _record(history, 2 * BATCH_MAX + 1)
    box = Outbox(history, tmp_path)
    assert box.prepare(len(history.numbers())) == [*range(1, BATCH_MAX + 1)]
    sent = _publish(box, len(history.numbers()))
    assert [number for number, _ in sent] == history.numbers()


def test_the_number_of_waiting_events_has_a_limit(
    tmp_path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait are sent; the others follow when there is room."""
    box = Outbox(history, tmp_path)
    assert box.prepare(2) == [1, 2]
    monkeypatch.setattr(outbox, "WAITING_MAX", 2)
    assert box.prepare(3) == [1, 2]
    assert [number for number, _ in _publish(box, 3)] == [1, 2, 3]


def test_published_events_of_forgotten_revisions_are_removed(
    tmp_path: Path, history: History
) -> None:
    """An event that waits stays, also if the history has forgotten its revision."""
    box = Outbox(history, tmp_path)
    box.prepare(3)
    shutil.rmtree(tmp_path / "1")
    assert [number for number, _ in _publish(box, 3)] == [1, 2, 3]
    assert not (tmp_path / "events" / "1.pb").exists()
    assert (tmp_path / "events" / "2.pb").exists()


def test_without_the_parent_the_changes_are_unknown(tmp_path: Path, history: History) -> None:
    shutil.rmtree(tmp_path / "1")
    box = Outbox(history, tmp_path)
    assert box.prepare(3) == [2, 3]
    found = [pb.MeshEvent.FromString(box.event(n) or b"").mesh_config_revised for n in (2, 3)]
    assert [each.changes_unknown for each in found] == [True, False]


def test_before_the_first_revision_nothing_waits(tmp_path: Path) -> None:
    box = Outbox(History(tmp_path / "none"), tmp_path / "none")
    assert (box.waiting(), box.mark()) == (0, None)


@pytest.mark.parametrize(
    "time",
    ["2026-1x-30T12:00:00.000+00:00", "2026-11-30T12:00:00.000", "0026-11-30T12:00:00+00:00"],
)
def test_a_revision_whose_time_is_damaged_keeps_no_other_event_back(
    tmp_path: Path, history: History, time: str
) -> None:
    """Regression: no later revision got an audit event, because the id has the time."""
    path = tmp_path / "2" / "meta.json"
    path.write_text(path.read_text().replace(history.get(2).create_time, time))
    assert [number for number, _ in _publish(Outbox(history, tmp_path), 3)] == [1, 3]
    assert "meta.json is damaged" in history.reports()[0]
