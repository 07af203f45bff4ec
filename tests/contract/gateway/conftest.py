"""One gateway for all tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.rigs.mesh.gateway import Gateway, open_gateway


@pytest.fixture(scope="package")
async def gateway() -> AsyncIterator[Gateway]:
    """Return the running gateway. At the end, fail on a Lua error: it would let requests pass."""
    async with open_gateway() as opened:
        yield opened
        errors = await opened.rig.stats("gateway", "lua.errors")
        assert sum(errors.values()) == 0
