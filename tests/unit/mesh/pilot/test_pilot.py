"""What comes into force: only what compiles, one change at a time, and all of it after a crash."""

import asyncio
from pathlib import Path

import pytest

from mesh.pilot import config_folder
from mesh.pilot.findings import Refused
from mesh.pilot.history import Entry, History, Origin, UnknownRevision
from mesh.pilot.pilot import ParentChanged
from tests.rigs.mesh.pilot_bank import BAD, BETTER, ENTRY, GOOD, Bank


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    """Return a bank without a revision."""
    return Bank(tmp_path)


async def test_an_application_is_a_revision_in_the_active_folder(bank: Bank) -> None:
    """It is published; the same files again are the same revision."""
    pilot = bank.pilot()
    await pilot.start()
    first = await pilot.apply(GOOD, ENTRY)
    assert (first.number, first.who, first.why) == (1, "ana", "why")
    assert config_folder.read(bank.places.active) == GOOD
    assert await pilot.apply(GOOD, ENTRY) == first
    assert (await pilot.apply(BETTER, ENTRY)).number == 2
    assert bank.published[-1] == "better"


async def test_a_refused_configuration_changes_nothing(bank: Bank) -> None:
    """Neither the history nor the folder nor the proxies."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    with pytest.raises(Refused, match="it is bad"):
        await pilot.apply(BAD, ENTRY)
    assert pilot.state.revision == pilot.history.latest() == pilot.history.get(1)
    assert config_folder.read(bank.places.active) == GOOD
    assert bank.published == ["good"]


async def test_a_valid_edit_in_place_is_a_revision(bank: Bank) -> None:
    """It is attributed to the user who edits; the folder is not written again."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.edit(BETTER)
    await pilot.reload()
    await pilot.reload()
    assert [(each.who, each.origin) for each in pilot.history.newest_first()] == [
        ("sre", Origin.EDIT),
        ("ana", Origin.APPLY),
    ]
    assert bank.published == ["good", "better"]


async def test_a_bad_edit_in_place_is_reported_and_the_last_good_stays(bank: Bank) -> None:
    """Undoing the edit clears the report; no revision is made by either."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.edit(BAD)
    await pilot.reload()
    assert [str(each) for each in pilot.state.findings] == ["mesh.yaml:1: it is bad"]
    bank.edit(GOOD)
    await pilot.reload()
    assert pilot.state.findings == ()
    assert len(pilot.history.newest_first()) == 1
    assert bank.published == ["good"]


async def test_a_file_whose_name_is_not_utf_8_is_reported(bank: Bank) -> None:
    """It ended the control plane, at each start; removing it clears the report."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    (bank.places.active / "notes\udce9.yaml").write_bytes(b"")
    assert await pilot.reload()
    assert r"'notes\udce9.yaml' has a character" in pilot.state.findings[0].problem
    (bank.places.active / "notes\udce9.yaml").unlink()
    assert await pilot.reload()
    assert pilot.state.findings == ()


async def test_an_empty_active_folder_keeps_the_last_good(bank: Bank) -> None:
    """An SRE who removes every file gets an error, not a mesh without rules."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    (bank.places.active / "mesh.yaml").unlink()
    await pilot.reload()
    assert "no *.yaml file" in pilot.state.findings[0].problem
    assert bank.published == ["good"]


async def test_a_restart_serves_the_newest_revision(bank: Bank) -> None:
    """Even if the active folder has a bad edit, which is reported again."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.edit(BAD)
    restarted = bank.pilot()
    await restarted.start()
    assert bank.published[-1] == "good"
    await restarted.reload()
    assert restarted.state.findings
    assert config_folder.read(bank.places.active) == BAD


async def test_an_edit_while_the_control_plane_is_down_comes_into_force(bank: Bank) -> None:
    """The next process finds it and makes it a revision."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.edit(BETTER)
    restarted = bank.pilot()
    await restarted.start()
    await restarted.reload()
    assert restarted.state.revision == restarted.history.get(2)
    assert bank.published[-1] == "better"


async def test_a_crash_between_history_and_folder_is_completed(bank: Bank) -> None:
    """The revision was recorded, and the active folder still has the files before it."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    History(bank.places.history).record(BETTER, ENTRY)
    restarted = bank.pilot()
    await restarted.start()
    await restarted.reload()
    assert config_folder.read(bank.places.active) == BETTER
    assert restarted.state.revision == restarted.history.get(2)
    assert len(restarted.history.newest_first()) == 2


async def test_a_rollback_is_a_new_revision_with_the_earlier_files(bank: Bank) -> None:
    """The history only grows."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    await pilot.apply(BETTER, ENTRY)
    made = await pilot.rollback(1, "ana", "calls failed")
    assert (made.number, made.origin, made.of) == (3, Origin.ROLLBACK, 1)
    assert config_folder.read(bank.places.active) == GOOD
    with pytest.raises(UnknownRevision):
        await pilot.rollback(99, "ana", "")


async def test_an_apply_on_an_older_revision_is_refused(bank: Bank) -> None:
    """Two SREs read revision 1; the second one to apply must look at the first one's change."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY, parent=0)
    await pilot.apply(BETTER, ENTRY, parent=1)
    with pytest.raises(ParentChanged, match="revision 2 is in force"):
        await pilot.apply(GOOD, ENTRY, parent=1)


async def test_a_revision_that_no_longer_fits_the_contracts_is_reported(bank: Bank) -> None:
    """It is published to no proxy; the next valid application clears the report."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.refuses = b"good"
    restarted = bank.pilot()
    await restarted.start()
    assert restarted.state.findings
    assert bank.published == ["good"]
    await restarted.apply(BETTER, ENTRY)
    assert not restarted.state.findings


async def test_changed_addresses_are_published_without_a_revision(bank: Bank) -> None:
    """The configuration is the same; only where the processes are has changed."""
    pilot = bank.pilot()
    await pilot.recompile()
    await pilot.apply(GOOD, ENTRY)
    await pilot.recompile()
    assert bank.published == ["good", "good"]
    assert len(pilot.history.newest_first()) == 1


async def test_concurrent_applications_come_one_after_the_other(bank: Bank) -> None:
    """Each gets its own number, and the folder has the files of the last."""
    pilot = bank.pilot()
    await asyncio.gather(*(pilot.apply({"mesh.yaml": f"{n}\n".encode()}, ENTRY) for n in range(8)))
    latest = pilot.history.latest()
    assert latest is not None
    assert latest.number == 8
    assert config_folder.digest(config_folder.read(bank.places.active)) == latest.digest


async def test_the_repository_is_applied_only_after_it_has_changed(bank: Bank) -> None:
    """A start of the bank keeps a rollback by an SRE; a new commit replaces it."""
    pilot = bank.pilot()
    repository = Entry("root", "start", Origin.REPOSITORY)
    await pilot.apply(GOOD, repository)
    await pilot.apply(BETTER, repository)
    rolled_back = await pilot.rollback(1, "ana", "calls failed")
    assert await pilot.apply(BETTER, repository) == rolled_back
    assert bank.published[-1] == "good"
    changed = await pilot.apply({"mesh.yaml": b"next\n"}, repository)
    assert (changed.number, bank.published[-1]) == (4, "next")


@pytest.mark.parametrize("obstacle", ["history/.draft", "config/.drafts"])
async def test_a_disk_that_cannot_be_written_changes_nothing(bank: Bank, obstacle: str) -> None:
    """Neither the history nor the folder nor the proxies; the next application succeeds."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    blocked = bank.places.active.parent / obstacle
    blocked.write_text("a file where a folder must be")
    with pytest.raises(OSError, match="draft"):
        await pilot.apply(BETTER, ENTRY)
    assert pilot.state.revision == pilot.history.latest() == pilot.history.get(1)
    assert config_folder.read(bank.places.active) == GOOD
    assert bank.published == ["good"]
    blocked.unlink()
    assert (await pilot.apply(BETTER, ENTRY)).number == 2


async def test_an_edit_that_cannot_be_recorded_is_recorded_later(bank: Bank) -> None:
    """The proxies have it meanwhile, and the report says that it is not recorded."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    blocked = bank.places.history / ".draft"
    blocked.write_text("a file where a folder must be")
    bank.edit(BETTER)
    assert not await pilot.reload()
    assert bank.published == ["good", "better"]
    assert "must wait" in pilot.state.findings[0].problem
    blocked.unlink()
    assert await pilot.reload()
    assert pilot.state.revision == pilot.history.get(2)
    assert not pilot.state.findings


async def test_a_link_in_the_active_folder_is_reported_until_it_is_removed(bank: Bank) -> None:
    """The files did not change, and still the report ends."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    (bank.places.active / "more").symlink_to(bank.folder)
    await pilot.reload()
    assert "is a link" in pilot.state.findings[0].problem
    (bank.places.active / "more").unlink()
    await pilot.reload()
    assert pilot.state.findings == ()


async def test_an_edit_that_waits_for_an_address_comes_into_force_with_it(bank: Bank) -> None:
    """A compilation for new addresses does not hide the report of the edit."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.edit(BAD)
    await pilot.reload()
    await pilot.recompile()
    await pilot.reload()
    assert pilot.state.findings
    bank.refuses = b"nothing"
    await pilot.recompile()
    await pilot.reload()
    assert pilot.state.revision == pilot.history.get(2)


async def test_the_report_of_a_revision_that_no_longer_fits_stays(bank: Bank) -> None:
    """The active folder has the same files, so reading it says nothing about the revision."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.refuses = b"good"
    restarted = bank.pilot()
    await restarted.start()
    await restarted.reload()
    assert [each.problem for each in restarted.state.findings] == ["it is bad"]
    bank.refuses = b"bad"
    await restarted.recompile()
    assert not restarted.state.findings


async def test_a_compilation_for_other_addresses_keeps_the_report_of_a_bad_edit(
    bank: Bank,
) -> None:
    """A drain compiles the revision in force again; the active folder still has its error."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.edit(BAD)
    await pilot.reload()
    assert await pilot.recompile() == ()
    assert [each.problem for each in pilot.state.findings] == ["it is bad"]


async def test_an_edit_that_was_not_read_yet_is_a_revision_before_an_application(
    bank: Bank,
) -> None:
    """The application replaces the active folder; the edit is not lost, and its parent changed."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.edit(BETTER)
    with pytest.raises(ParentChanged, match="revision 2 is in force"):
        await pilot.apply({"mesh.yaml": b"next\n"}, ENTRY, parent=1)
    assert config_folder.read(bank.places.active) == pilot.history.content(2) == BETTER


async def test_an_edit_with_errors_is_kept_when_an_application_replaces_it(bank: Bank) -> None:
    """Such as half an edit of an SRE, while the control plane removes an expired text."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.edit(BAD)
    await pilot.reload()
    revision = await pilot.apply(BETTER, ENTRY)
    assert config_folder.read(bank.places.active) == BETTER
    assert [config_folder.read(each) for each in pilot.history.replaced(revision.number)] == [BAD]


async def test_an_edit_after_a_crash_is_not_replaced_by_the_edit_before_it(bank: Bank) -> None:
    """The process ended right after it had recorded an edit, which the folder already had."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.edit(BETTER)
    await pilot.reload()
    later = {"mesh.yaml": b"later\n"}
    bank.edit(later)
    restarted = bank.pilot()
    await restarted.start()
    await restarted.reload()
    assert config_folder.read(bank.places.active) == later
    assert restarted.state.revision == restarted.history.get(3)


async def test_a_wait_for_a_publication_ends_with_an_edit_and_not_with_a_refused_one(
    tmp_path: Path,
) -> None:
    bank = Bank(tmp_path)
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    before = pilot.publications
    waiting = asyncio.create_task(pilot.published_after(before))
    bank.edit(BAD)
    await pilot.reload()
    assert (pilot.publications, waiting.done()) == (before, False)
    bank.edit(BETTER)
    await pilot.reload()
    await waiting
    await pilot.published_after(before)
    assert pilot.publications == before + 1
