"""No change replaces another one unseen, waits for a check, or denies live payments by surprise."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.pilot import config_folder
from mesh.pilot.compiling import Compiled
from mesh.pilot.findings import Refused
from mesh.pilot.history import Entry, Origin
from mesh.pilot.pilot import ParentChanged, Pilot
from ops.waiting import scaled_s
from tests.rigs.mesh.pilot_bank import BETTER, DENYING, ENTRY, GOOD, Bank


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    """Return a bank without a revision."""
    return Bank(tmp_path)


async def test_an_application_and_a_rollback_do_not_wait_for_a_check(bank: Bank) -> None:
    """A check of many files takes long; an urgent rollback must not wait for it."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    check = asyncio.create_task(pilot.check(BETTER))
    await asyncio.sleep(0)
    async with asyncio.timeout(scaled_s(60)):
        await pilot.apply(BETTER, ENTRY)
        await pilot.rollback(1, "ana", "calls failed")
    assert not check.done()
    bank.checks.set()
    assert (await check).nodes
    assert bank.published == ["good", "better", "good"]


async def test_a_change_for_another_revision_names_the_one_in_force(bank: Bank) -> None:
    """Two SREs have compared with revision 1. The second one hears who was faster."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    await pilot.apply(BETTER, Entry("bo", "fewer retries", Origin.APPLY), parent=1)
    said = r"made for revision 1, and revision 2 is in force, by bo at .*apply \(fewer retries\)"
    with pytest.raises(ParentChanged, match=said):
        await pilot.apply({"mesh.yaml": b"mine\n"}, ENTRY, parent=1)
    with pytest.raises(ParentChanged, match=said):
        await pilot.rollback(1, "ana", "", parent=1)
    assert await pilot.apply(BETTER, ENTRY, parent=1) == pilot.history.get(2)
    assert (await pilot.rollback(1, "ana", "", parent=2)).number == 3


async def test_a_rollback_that_would_deny_live_payments_is_refused(bank: Bank) -> None:
    """As an application is. Without a guard, as by --force, it goes ahead."""
    pilot = bank.pilot()
    await pilot.apply(DENYING, ENTRY)
    await pilot.apply(GOOD, ENTRY)
    with pytest.raises(Refused, match="3 live calls"):
        await pilot.rollback(1, "ana", "", approve=bank.approve)
    assert config_folder.read(bank.places.active) == GOOD
    assert (await pilot.rollback(1, "ana", "")).number == 3


async def held_back(bank: Bank, pilot: Pilot) -> None:
    """Edit in place what would deny live payments."""
    bank.edit(DENYING)
    await pilot.reload()
    first, how = (each.problem for each in pilot.state.findings)
    assert first == "3 live calls would be denied"
    assert f"bpctl mesh apply --force {bank.places.active}" in how
    assert pilot.state.revision == pilot.history.latest() == pilot.history.get(1)


async def test_an_edit_in_place_that_would_deny_live_payments_is_held_back(bank: Bank) -> None:
    """The SRE applies the same folder by force, or changes the edit."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    await held_back(bank, pilot)
    assert bank.published == ["good"]
    made = await pilot.apply(config_folder.read(bank.places.active), ENTRY)
    assert (made.number, pilot.state.findings) == (2, ())
    bank.edit(BETTER)
    await pilot.reload()
    assert (pilot.state.findings, bank.published[-1]) == ((), "better")


async def test_a_restart_does_not_put_a_held_back_edit_in_force(bank: Bank) -> None:
    """It has lost the window of live calls, so it could not say that the edit denies some."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    await held_back(bank, pilot)
    bank.denies = b"nothing"
    restarted = bank.pilot()
    await restarted.start()
    await restarted.reload()
    await restarted.recompile()
    await restarted.reload()
    assert "3 live calls would be denied" in {each.problem for each in restarted.state.findings}
    assert set(bank.published) == {"good"}


async def test_a_held_back_edit_that_comes_again_is_judged_again(bank: Bank) -> None:
    """The calls may have ended meanwhile."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    await held_back(bank, pilot)
    bank.edit(BETTER)
    await pilot.reload()
    bank.denies = b"nothing"
    bank.edit(DENYING)
    await pilot.reload()
    assert (bank.published[-1], pilot.state.findings) == ("deny", ())


async def test_an_edit_that_was_forced_once_is_judged_when_it_comes_again(bank: Bank) -> None:
    """Its force was for one time, and so are the reasons of then."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    await held_back(bank, pilot)
    await pilot.apply(DENYING, ENTRY)
    await pilot.rollback(1, "ana", "")
    bank.denies = b"nothing"
    bank.edit(DENYING)
    await pilot.reload()
    assert (bank.published[-1], pilot.state.findings) == ("deny", ())
    assert not bank.places.held.exists()


def _meta(folder: Path) -> None:
    (folder / "meta.json").write_text('{"number": 2, "digest"')


def _typed(folder: Path) -> None:
    text = (folder / "meta.json").read_text()
    (folder / "meta.json").write_text(text.replace('"apply"', "[7]"))


def _absent(folder: Path) -> None:
    (folder / "meta.json").unlink()


def _folder(folder: Path) -> None:
    (folder / "meta.json").unlink()
    (folder / "meta.json").mkdir()


def _edited(folder: Path) -> None:
    (folder / "config" / "mesh.yaml").write_text("goo")


def _emptied(folder: Path) -> None:
    (folder / "config" / "mesh.yaml").unlink()


def _linked(folder: Path) -> None:
    (folder / "config" / "mesh.yaml").unlink()
    (folder / "config" / "mesh.yaml").symlink_to("/etc/hostname")


@pytest.mark.parametrize("damage", [_meta, _typed, _absent, _folder, _edited, _emptied, _linked])
async def test_a_damaged_revision_is_named_and_what_is_in_force_stays(
    bank: Bank, damage: Callable[[Path], None]
) -> None:
    """The newest one: the active folder has its files, which become a revision again."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    await pilot.apply(BETTER, ENTRY)
    damage(bank.places.history / "2")
    restarted = bank.pilot()
    await restarted.start()
    await restarted.reload()
    assert bank.published[-1] == "better"
    assert restarted.state.revision == restarted.history.get(3)
    (report,) = restarted.reports()
    assert "history/2/" in report
    assert (await restarted.apply(GOOD, ENTRY)).number == 4


async def test_without_a_whole_revision_the_active_folder_stays_in_force(bank: Bank) -> None:
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    _meta(bank.places.history / "1")
    restarted = bank.pilot()
    await restarted.start()
    await restarted.reload()
    assert bank.published == ["good", "good"]
    assert restarted.state.revision == restarted.history.get(2)


async def test_a_start_on_a_full_disk_serves_and_completes_later(bank: Bank) -> None:
    """The files of the newest revision did not reach the active folder before the crash."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    pilot.history.record(BETTER, ENTRY)
    blocked = bank.places.active / ".drafts"
    blocked.write_text("a file where a folder must be")
    restarted = bank.pilot()
    await restarted.start()
    assert bank.published[-1] == "better"
    assert "must wait" in restarted.state.findings[0].problem
    assert not await restarted.reload()
    blocked.unlink()
    assert await restarted.reload()
    assert config_folder.read(bank.places.active) == BETTER
    assert restarted.state.findings == ()
    assert restarted.history.latest() == restarted.state.revision == restarted.history.get(2)


async def test_files_of_the_history_that_vanish_while_it_serves_change_nothing(bank: Bank) -> None:
    """New addresses are published from what is in force, not from the history."""
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    _emptied(bank.places.history / "1")
    assert await pilot.recompile() == ()
    assert bank.published == ["good", "good"]


@dataclass
class _Full(Bank):
    """A bank whose proxies' files cannot be written for some time."""

    full: bool = False

    async def _publish(self, compiled: Compiled) -> None:
        await super()._publish(compiled)
        if self.full:
            raise OSError("no space left")


async def test_a_revision_that_cannot_be_published_whole_is_in_force_and_published_later(
    tmp_path: Path,
) -> None:
    """Regression: the answer was that nothing had changed, so a fault for a time had no end."""
    bank = _Full(tmp_path)
    pilot = bank.pilot()
    await pilot.apply(GOOD, ENTRY)
    bank.full = True
    made = await pilot.apply(BETTER, ENTRY)
    assert made == pilot.state.revision == pilot.history.latest()
    assert config_folder.read(bank.places.active) == BETTER
    assert "must wait: no space left" in pilot.state.findings[0].problem
    assert not await pilot.reload()
    bank.full = False
    assert await pilot.reload()
    assert pilot.state.findings == ()
    assert bank.published[-1] == "better"
    assert pilot.history.latest() == made
