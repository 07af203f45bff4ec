"""A clock that jumps changes reports alone: what is sent and what is in force do not depend on it.

Proxies judge certificates by their own clocks and files, so the control plane's clock has no part
in them.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.controlplane.deliver.cache import Cache, Session
from mesh.controlplane.deliver.envelopes import Request, Response
from mesh.controlplane.deliver.packed import Kind, NodeSnapshot, pack, snapshot
from mesh.controlplane.deliver.protocol import Form
from mesh.controlplane.deliver.status import State
from mesh.pilot.expirer import Expirer
from mesh.pilot.expiring import Added, Expiring, Expiry
from mesh.pilot.history import Entry, Origin
from ops.waiting import until
from tests.rigs.mesh.pilot_bank import Bank

NODE = "payments-0"
HOUR_S = 3600.0


@dataclass
class Clock:
    """A clock that tests set."""

    now_s: float = 1_800_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def _snapshot(body: bytes) -> NodeSnapshot:
    return snapshot(NODE, [pack(Kind.CLUSTER, "customers", body)])


def _acked(session: Session, responses: list[Response]) -> None:
    while responses:
        each = responses.pop(0)
        responses += session.request(Request(each.kind, nonce=each.nonce))


@pytest.mark.parametrize("jump_s", [-24 * HOUR_S, 24 * HOUR_S, -1_800_000_000.0])
async def test_a_jump_between_a_response_and_its_acknowledgement_changes_nothing(
    jump_s: float,
) -> None:
    """The proxy gets its resources, is SYNCED, and later snapshots follow."""
    clock = Clock()
    acked: list[str] = []
    cache = Cache(clock, lambda _, got: acked.append(got.version))
    session = cache.connect(NODE, Form.DELTA, lambda: None)
    for number, body in enumerate((b"one", b"two")):
        made = _snapshot(body)
        cache.publish(made)
        first = Request(Kind.CLUSTER, NODE) if number == 0 else None
        responses = session.request(first) if first else session.update()
        assert [one.body for each in responses for one in each.resources] == [body]
        status = cache.status(NODE).kinds[Kind.CLUSTER]
        since_s = clock.now_s if status.state is State.STALE else None
        assert status.since_s == since_s
        clock.now_s += jump_s
        _acked(session, responses)
        assert cache.status(NODE).kinds[Kind.CLUSTER].state is State.SYNCED
        waited = await cache.wait_synced({NODE: made.version}, 60)
        assert waited[NODE].acked == made.version
    assert len(acked) == 2


@pytest.mark.parametrize("back_s", [HOUR_S, 48 * HOUR_S])
async def test_a_fault_does_not_stay_longer_because_the_clock_was_set_back(
    tmp_path: Path, back_s: float
) -> None:
    """The time of the fault is up by a clock that never jumps."""
    bank, clock, steady = Bank(tmp_path), Clock(), Clock(5.0)
    pilot = bank.pilot()
    await pilot.start()
    plain = {"mesh.yaml": b"good\n"}
    await pilot.apply({"mesh.yaml": b"good\nfault\n"}, Entry("ana", "", Origin.APPLY))
    expirer = Expirer(pilot, Expiring(bank.places.expiring), clock, steady)
    added = (Added("mesh.yaml", "fault\n"),)
    expirer.add(Expiry("inject", clock.now_s + 60, "ana", "drill", added))
    task = asyncio.create_task(expirer.run())
    await asyncio.sleep(0)
    assert expirer.all()
    clock.now_s -= back_s
    steady.now_s += 61
    expirer.add(Expiry("later", clock.now_s + HOUR_S, "ana", "drill", ()))

    async def gone() -> bool:
        return [each.name for each in expirer.all()] == ["later"]

    await until(gone, what="the fault is removed")
    task.cancel()
    assert pilot.history.content(2) == plain


async def test_a_fault_that_would_stay_longer_than_any_may_is_removed_at_a_start(
    tmp_path: Path,
) -> None:
    """The clock was set back while the control plane was down."""
    bank, clock = Bank(tmp_path), Clock()
    pilot = bank.pilot()
    await pilot.start()
    await pilot.apply({"mesh.yaml": b"good\nfault\n"}, Entry("ana", "", Origin.APPLY))
    expiring = Expiring(bank.places.expiring)
    added = (Added("mesh.yaml", "fault\n"),)
    expiring.add(Expiry("inject", clock.now_s + 60, "ana", "drill", added))
    clock.now_s -= 48 * HOUR_S
    expirer = Expirer(pilot, expiring, clock)
    task = asyncio.create_task(expirer.run())

    async def gone() -> bool:
        return not expirer.all()

    await until(gone, what="the fault is removed")
    task.cancel()
    assert pilot.history.content(2) == {"mesh.yaml": b"good\n"}


async def test_what_was_removed_is_forgotten(tmp_path: Path) -> None:
    """Regression: the control plane remembered every fault since its start."""
    bank, clock, steady = Bank(tmp_path), Clock(), Clock(5.0)
    pilot = bank.pilot()
    await pilot.start()
    await pilot.apply({"mesh.yaml": b"good\n"}, Entry("ana", "", Origin.APPLY))
    expirer = Expirer(pilot, Expiring(bank.places.expiring), clock, steady)
    task = asyncio.create_task(expirer.run())

    async def gone() -> bool:
        return not expirer.all()

    for number in range(3):
        expirer.add(Expiry(f"inject-{number}", clock.now_s + 60, "ana", "drill", ()))
        clock.now_s += 61
        steady.now_s += 61
        await until(gone, what="it is removed")
    expirer.add(Expiry("last", clock.now_s + 60, "ana", "drill", ()))

    async def only_the_last() -> bool:
        return [each.name for each in expirer._due_s] == ["last"]

    await until(only_the_last, 5, "the others are forgotten")
    task.cancel()
