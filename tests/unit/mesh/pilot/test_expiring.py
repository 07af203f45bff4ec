"""What is in force for a limited time is removed by the control plane, and nothing else is."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.pilot.expirer import Expirer
from mesh.pilot.expiring import Added, Expiring, Expiry, UnknownExpiry, without
from mesh.pilot.history import Entry, Origin
from mesh.pilot.pilot import Pilot
from ops.waiting import until
from tests.rigs.mesh.pilot_bank import Bank

PLAIN = {"mesh.yaml": b"good\nend\n", "other.yaml": b"a\n"}
TEXT = "fault: x  # 1a2b\n"
FAULTY = PLAIN | {"mesh.yaml": b"good\n" + TEXT.encode() + b"end\n"}
APPLY = Entry("ana", "", Origin.APPLY)


@dataclass
class Clock:
    """A time that a test sets."""

    now_s: float = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def fault(until_s: float, name: str = "inject-customers") -> Expiry:
    """Return a fault until a time."""
    return Expiry(name, until_s, "ana", "drill", (Added("mesh.yaml", TEXT),))


async def running(bank: Bank, clock: Clock) -> tuple[Pilot, Expirer]:
    """Return a control plane with a fault in force."""
    pilot = bank.pilot()
    await pilot.start()
    return pilot, Expirer(pilot, Expiring(bank.places.expiring), clock)


async def test_a_fault_is_removed_when_its_time_is_up(tmp_path: Path) -> None:
    """As a revision, which says why."""
    bank, clock = Bank(tmp_path), Clock()
    pilot, expirer = await running(bank, clock)
    expirer.add(fault(until_s=99.0))
    await pilot.apply(FAULTY, APPLY)
    task = asyncio.create_task(expirer.run())

    async def gone() -> bool:
        return not expirer.all()

    await until(gone, 30, "the fault stays")
    task.cancel()
    latest = pilot.history.latest()
    assert latest is not None
    assert (latest.origin, latest.who) == (Origin.EXPIRY, "the control plane")
    assert pilot.history.content(latest.number) == PLAIN


async def test_edits_that_came_meanwhile_stay(tmp_path: Path) -> None:
    """Only the inserted text is removed."""
    bank = Bank(tmp_path)
    pilot, expirer = await running(bank, Clock())
    expirer.add(fault(until_s=200.0))
    await pilot.apply(FAULTY, APPLY)
    await pilot.apply(FAULTY | {"other.yaml": b"b\n"}, APPLY)
    made = await expirer.remove("inject-customers", "ana", "stop")
    assert made is not None
    assert pilot.history.content(made.number) == PLAIN | {"other.yaml": b"b\n"}
    with pytest.raises(UnknownExpiry, match="there are: none"):
        await expirer.remove("inject-customers", "ana", "stop")


async def test_a_new_process_removes_what_its_predecessor_would_have(tmp_path: Path) -> None:
    """The entry is on disk before the fault is in force."""
    bank = Bank(tmp_path)
    pilot, expirer = await running(bank, Clock())
    expirer.add(fault(until_s=150.0))
    await pilot.apply(FAULTY, APPLY)
    again, successor = await running(bank, Clock(now_s=151.0))
    task = asyncio.create_task(successor.run())

    async def gone() -> bool:
        return not successor.all()

    await until(gone, 30, "the fault stays")
    task.cancel()
    assert again.state.revision is not None
    assert again.history.content(again.state.revision.number) == PLAIN


def test_two_faults_have_two_names(tmp_path: Path) -> None:
    """The second of one name is refused."""
    expiring = Expiring(tmp_path / "mesh" / "expiring.json")
    expiring.add(fault(2.0))
    expiring.add(fault(1.0, "inject-fraud"))
    assert [each.name for each in expiring.all()] == ["inject-fraud", "inject-customers"]
    with pytest.raises(ValueError, match="already in force; stop it first"):
        expiring.add(fault(3.0))
    expiring.drop("inject-fraud")
    assert [each.name for each in expiring.all()] == ["inject-customers"]
    assert expiring.get("inject-customers") == fault(2.0)
    (tmp_path / "mesh" / "expiring.json").write_text("[{")
    assert expiring.all() == []


def test_a_text_that_is_gone_or_edited_changes_nothing() -> None:
    """Its editor decided about it."""
    added = [Added("mesh.yaml", TEXT), Added("absent.yaml", TEXT)]
    assert without(FAULTY, added) == PLAIN
    assert without(PLAIN, added) == PLAIN
    edited = FAULTY | {"mesh.yaml": FAULTY["mesh.yaml"].replace(b"x", b"y")}
    assert without(edited, added) == edited
