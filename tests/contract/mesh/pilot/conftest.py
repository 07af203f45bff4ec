"""One control plane with three proxies for all tests of this folder.

Each test begins with the bank's own configuration in force and every proxy SYNCED.
"""

from collections.abc import AsyncIterator

import pytest

from mesh import ctl
from mesh.pilot import config_folder
from tests.rigs.mesh.pilot import Plane
from tests.rigs.mesh.pilot_mesh import Piloted, open_piloted

OWN = config_folder.read(ctl.CONFIG)


@pytest.fixture(scope="package")
async def running() -> AsyncIterator[Piloted]:
    """Return the running mesh."""
    async with open_piloted() as made:
        yield made


@pytest.fixture
async def piloted(running: Piloted) -> Piloted:
    """Return the running mesh with the bank's own configuration in force."""
    plane = running.plane
    if plane.running.returncode is not None:
        await plane.start()
    await running.restored()
    await running.reset(OWN)
    return running


@pytest.fixture
def plane(piloted: Piloted) -> Plane:
    """Return the control plane."""
    return piloted.plane
