"""The control plane cannot write a file: nothing is half applied, and proxies continue."""

import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.waiting import until
from tests.rigs.mesh.pilot import Plane, replaced
from tests.rigs.mesh.pilot_mesh import SECOND, Piloted

CUSTOMERS = "services/customers.yaml"
ROUTE = (CUSTOMERS, "timeout: 6s", "timeout: 7s")
LOG = ("mesh.yaml", "response.code >= 500", "response.code >= 504")


@contextmanager
def full_disk(plane: Plane) -> Generator[None]:
    """Let the process write no file meanwhile: each write fails, as on a full disk."""
    pid = plane.running.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


async def test_an_application_that_cannot_be_written_changes_nothing(
    piloted: Piloted, plane: Plane
) -> None:
    number, files = await plane.number(), plane.active()
    before = await plane.get("proxies")
    async with piloted.load():
        with full_disk(plane):
            said = await plane.apply(replaced(files, *ROUTE))
        assert (said.status, said.error["reason"]) == (507, "STORAGE_FAILED")
        assert "nothing was changed" in said.error["message"]
        assert await plane.number() == number
        assert plane.active() == files
        assert await plane.get("proxies") == before
        history = {path.name for path in plane.places.history.iterdir()} - {".draft"}
        assert str(number + 1) not in history
        assert await plane.applied(replaced(files, *ROUTE)) == number + 1
        await piloted.synced()


async def test_an_edit_reaches_the_proxies_and_is_recorded_when_there_is_space(
    piloted: Piloted, plane: Plane
) -> None:
    """The same holds for the last good files of each proxy."""
    number = await plane.number()
    last_good = plane.places.proxy("payments-0") / "last-good" / "lds.pb"
    async with piloted.load():
        with full_disk(plane):
            plane.edit(*LOG)
            await plane.found("must wait")
            await piloted.synced()
            assert await plane.number() == number
            assert b"response.code >= 504" not in last_good.read_bytes()
        await plane.in_force(number + 1)

        async def written() -> bool:
            return b"response.code >= 504" in last_good.read_bytes()

        await until(written, what="the last good files have the edit")


async def test_a_new_instance_is_served_when_there_is_space(piloted: Piloted, plane: Plane) -> None:
    """Its bootstrap cannot be written; the control plane serves the others and tries again."""
    services: Any = piloted.rig.places["services"]
    one = services["customers"]
    try:
        with full_disk(plane):
            piloted.with_second()
            await until(lambda: _listed(plane, SECOND), what="the instance is published")
        await until(lambda: _exists(plane.places.ads_socket(SECOND)), what="it is served")
        assert (plane.places.proxy(SECOND) / "stream.json").exists()
    finally:
        services["customers"] = one
        piloted.rig.write_endpoints()


async def _listed(plane: Plane, node: str) -> bool:
    return node in {each["node"] for each in (await plane.get("proxies"))["proxies"]}


async def _exists(path: Path) -> bool:
    return path.exists()
