"""Revisions: numbered, whole or absent, and completed after a crash."""

from pathlib import Path

import pytest

from mesh.pilot import config_folder
from mesh.pilot.history import REVISIONS_MAX, Entry, History, Origin, UnknownRevision

ONE = {"mesh.yaml": b"a: 1\n"}
TWO = {"mesh.yaml": b"a: 2\n", "partners/fraud.yaml": b"b: 1\n"}
ENTRY = Entry("ana", "tighter", Origin.APPLY)


def test_revisions_are_numbered_and_keep_their_files(tmp_path: Path) -> None:
    """The newest comes first; each has who, why and its own files."""
    history = History(tmp_path / "history")
    assert history.latest() is None
    history.record(ONE, ENTRY)
    second = history.record(TWO, Entry("bo", "", Origin.ROLLBACK, of=1))
    assert [each.number for each in history.newest_first()] == [2, 1]
    assert history.latest() == second == History(tmp_path / "history").get(2)
    assert (second.who, second.origin, second.of) == ("bo", Origin.ROLLBACK, 1)
    assert history.content(1) == ONE
    assert history.content(2) == TWO


def test_a_draft_of_a_crash_is_no_revision(tmp_path: Path) -> None:
    """The process ended while it wrote the files: the number is free and the draft is replaced."""
    history = History(tmp_path)
    history.record(ONE, ENTRY)
    config_folder.replace(tmp_path / ".draft" / "config", TWO)
    assert history.latest() == history.get(1)
    assert history.record(TWO, ENTRY).number == 2
    assert history.content(2) == TWO


def test_a_revision_in_force_says_so(tmp_path: Path) -> None:
    """The mark is written after the active folder has all files."""
    history, active = History(tmp_path / "history"), tmp_path / "config"
    number = history.record(TWO, ENTRY).number
    assert not history.is_in_force(number)
    history.put_in_force(number, active)
    history.put_in_force(number, active)
    assert history.is_in_force(number)
    assert config_folder.read(active) == TWO


def test_an_unknown_revision_is_named(tmp_path: Path) -> None:
    """Every reader of a revision says which one is unknown."""
    history = History(tmp_path)
    for ask in (history.get, history.content):
        with pytest.raises(UnknownRevision, match="revision 7"):
            ask(7)


def test_the_last_application_ignores_edits_and_rollbacks(tmp_path: Path) -> None:
    """It decides whether the repository's configuration has changed since."""
    history = History(tmp_path)
    assert history.last_applied() is None
    history.record(ONE, ENTRY)
    applied = history.record(TWO, Entry("ana", "", Origin.REPOSITORY))
    history.record(ONE, Entry("ana", "", Origin.EDIT))
    history.record(ONE, Entry("ana", "", Origin.ROLLBACK, of=1))
    assert history.last_applied() == applied


def test_the_history_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest revisions are removed; numbers are never used again."""
    monkeypatch.setattr("mesh.pilot.history.REVISIONS_MAX", 3)
    history = History(tmp_path)
    for _ in range(5):
        history.record(ONE, ENTRY)
    assert [each.number for each in history.newest_first(10)] == [5, 4, 3]
    assert REVISIONS_MAX >= 100


def test_a_revision_whose_end_cannot_be_written_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller hears that nothing changed, so the next start must not put it in force."""
    history = History(tmp_path)
    history.record(ONE, ENTRY)

    def full(_: Path) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("mesh.pilot.history._sync_folder", full)
    with pytest.raises(OSError, match="full"):
        history.record(TWO, ENTRY)
    assert history.latest() == history.get(1)


def test_a_revision_that_is_half_removed_is_not_listed(tmp_path: Path) -> None:
    """The process ended while it removed the oldest one."""
    history = History(tmp_path)
    history.record(ONE, ENTRY)
    history.record(TWO, ENTRY)
    (tmp_path / "1" / "meta.json").unlink()
    assert [each.number for each in history.newest_first()] == [2]
