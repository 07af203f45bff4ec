"""A proxy that starts without a control plane serves from its last good files."""

import asyncio
from pathlib import Path

import pytest

from ops.waiting import until
from sandbox.stack.parts.proxy_start import LAST_GOOD, STREAM
from tests.rigs.mesh.pilot import Plane
from tests.rigs.mesh.pilot_mesh import Piloted


# Each case has its own edit: the files may be those of an earlier test when the proxy starts.
@pytest.mark.parametrize(
    ("away", "edited"), [("ended", "response.code >= 502"), ("hanging", "response.code >= 503")]
)
async def test_a_proxy_starts_from_last_good_files_and_comes_back_to_its_stream(
    piloted: Piloted, plane: Plane, away: str, edited: str
) -> None:
    """It gets the edits in between by the same files, until its next start."""
    rig, number = piloted.rig, await plane.number()
    folder = plane.places.proxy("customers-0")
    await until(lambda: _exists(folder / LAST_GOOD), what="there are last good files")
    await rig.kill("customers")
    await plane.kill() if away == "ended" else plane.hang()
    try:
        await rig.start(["customers"])
        assert rig.started_from("customers") == LAST_GOOD
        async with piloted.load():
            await asyncio.sleep(0)
    finally:
        await plane.start() if away == "ended" else plane.wake()
    async with piloted.load():
        plane.edit("mesh.yaml", "response.code >= 500", edited)
        await plane.in_force(number + 1)
        await piloted.synced(("payments", "gateway"))

        async def updated() -> bool:
            return edited in await rig.dump("customers")

        await until(updated, what="the proxy has taken its files")
    assert (await plane.status("customers-0"))["state"] == "NOT CONNECTED"
    await rig.kill("customers")
    await rig.start(["customers"])
    assert rig.started_from("customers") == STREAM
    await piloted.synced()
    async with piloted.load():
        await asyncio.sleep(0)


async def _exists(path: Path) -> bool:
    return path.exists()
