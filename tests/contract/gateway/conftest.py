"""One gateway for all tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.mesh_rig.bank import Bank, open_bank


@pytest.fixture(scope="package")
async def bank() -> AsyncIterator[Bank]:
    """Return the running bank; at the end no Lua error may have happened, they let things pass."""
    async with open_bank() as opened:
        yield opened
        errors = await opened.rig.stats("gateway", "lua.errors")
        assert sum(errors.values()) == 0
