"""The control plane ends, hangs, or comes back with other files: calls continue."""

import asyncio
import contextlib
import shutil

import aiohttp
import pytest

from mesh.controlplane.deliver.packed import Kind
from mesh.pilot import config_folder
from mesh.pilot.history import Entry, History, Origin
from ops.waiting import until
from tests.rigs.mesh.ads_client import Client
from tests.rigs.mesh.pilot import Plane, replaced
from tests.rigs.mesh.pilot_mesh import Piloted

ROUTE = ("services/customers.yaml", "timeout: 6s", "timeout: 7s")
POOL = ("services/customers.yaml", "http2MaxRequests: 4096", "http2MaxRequests: 4095")


async def test_a_kill_fails_no_call_and_an_edit_meanwhile_comes_into_force_after_it(
    piloted: Piloted, plane: Plane
) -> None:
    number, listeners = await plane.number(), await piloted.listeners()
    async with piloted.load() as load:
        await plane.kill()
        await load.more()
        plane.edit(*ROUTE)
        await plane.start()
        await plane.in_force(number + 1)
        await piloted.synced()
    assert await piloted.listeners() == listeners


async def test_a_hang_fails_no_call_and_an_edit_meanwhile_comes_into_force_after_it(
    piloted: Piloted, plane: Plane
) -> None:
    number, listeners = await plane.number(), await piloted.listeners()
    async with piloted.load() as load:
        plane.hang()
        try:
            plane.edit(*ROUTE)
            await load.more(20)
        finally:
            plane.wake()
        await plane.in_force(number + 1)
        await piloted.synced()
    assert await piloted.listeners() == listeners


@pytest.mark.parametrize("when", ["recorded", "answered"])
async def test_a_kill_during_an_application_loses_no_revision(
    piloted: Piloted, plane: Plane, when: str
) -> None:
    """Once it is recorded, the next start completes it: history, folder and every proxy."""
    number, files = await plane.number(), replaced(plane.active(), *POOL)
    async with piloted.load():
        applying = asyncio.create_task(plane.apply(files))
        if when == "answered":
            assert (await applying).status == 200
        else:
            made = plane.places.history / str(number + 1)

            async def recorded() -> bool:
                return made.exists()

            await until(recorded, what="the revision is recorded")
        await plane.kill()
        # The caller of an application that was cut gets a broken connection.
        await asyncio.gather(applying, return_exceptions=True)
        await plane.start()
        await plane.in_force(number + 1)
        await piloted.synced()
    assert plane.active() == files


async def test_a_second_control_plane_does_not_start(piloted: Piloted, plane: Plane) -> None:
    """It would write the same history and take the sockets of the first."""
    number = await plane.number()
    second = Plane(piloted.rig)
    await second.begin()
    assert await second.running.wait() == 1
    assert "another control plane serves these proxies" in plane.log
    assert plane.running.returncode is None
    plane.edit(*ROUTE)
    await plane.in_force(number + 1)
    await piloted.synced()


async def test_a_revision_whose_files_did_not_reach_the_folder_is_completed(
    piloted: Piloted, plane: Plane
) -> None:
    """So is one whose folder got only some of them; a draft is no revision."""
    number, before = await plane.number(), plane.active()
    files = {**replaced(before, *ROUTE), "more.yaml": b"# more\n"}
    await plane.kill()
    history = plane.places.history
    History(history).record(files, Entry("ana", "a test", Origin.APPLY))
    (plane.places.active / "more.yaml").write_bytes(b"# more\n")
    shutil.copytree(history / str(number), history / ".draft", dirs_exist_ok=True)
    async with piloted.load():
        await plane.start()
        await plane.in_force(number + 1)
        await piloted.synced()
        assert plane.active() == files
        assert await plane.applied(before) == number + 2
        await piloted.synced()


async def test_older_files_come_into_force_and_the_numbers_continue(
    piloted: Piloted, plane: Plane
) -> None:
    """A backup of the history and the folder is copied back."""
    number, before = await plane.number(), plane.active()
    mesh, backup = plane.places.history.parent, plane.places.home / "backup"
    shutil.copytree(mesh, backup)
    await plane.applied(replaced(before, *ROUTE))
    await piloted.synced()
    async with piloted.load():
        await plane.kill()
        shutil.rmtree(mesh)
        backup.rename(mesh)
        await plane.start()
        await plane.in_force(number)
        await piloted.synced()
        assert await plane.applied(replaced(before, *POOL)) == number + 1
        await piloted.synced()


async def test_an_older_folder_is_an_edit(piloted: Piloted, plane: Plane) -> None:
    """Only the active folder is copied back, so the history keeps what was in force."""
    number, before = await plane.number(), plane.active()
    await plane.applied(replaced(before, *ROUTE))
    async with piloted.load():
        await plane.kill()
        config_folder.replace(plane.places.active, before)
        await plane.start()
        await plane.in_force(number + 2)
        await piloted.synced()
    numbers = [each["number"] for each in (await plane.get("history"))["revisions"]]
    assert numbers == sorted(numbers, reverse=True)


async def test_a_caller_that_waits_for_a_proxy_does_not_delay_the_end(
    piloted: Piloted, plane: Plane
) -> None:
    """The supervisor kills a process that does not end, and its sockets stay."""
    node = "payments-0"
    silent = Client(plane.places.ads_socket(node))
    await silent.ask(Kind.CLUSTER, node)
    await silent.read()
    waiting = asyncio.create_task(plane.call("GET", "synced?timeout_s=300"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    plane.running.terminate()

    async def ended() -> bool:
        return plane.running.returncode is not None

    await until(ended, 10, "the control plane ends")
    with contextlib.suppress(aiohttp.ClientError):
        await waiting
    await silent.close()
    assert not plane.places.ads_socket(node).exists()
    await plane.start()
    await piloted.synced()
