"""One gateway for all tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.rigs.mesh.edge import Edge, open_edge


@pytest.fixture(scope="package")
async def edge() -> AsyncIterator[Edge]:
    """Return the running edge. At the end no Lua error may have happened: they let calls pass."""
    async with open_edge() as opened:
        yield opened
        errors = await opened.rig.stats("gateway", "lua.errors")
        assert sum(errors.values()) == 0
