"""One gateway for all tests of this folder."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.gateway.small_pools import with_small_pools
from tests.rigs.mesh.gateway import Gateway, open_gateway


@pytest.fixture(scope="package")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """Return the running gateway. At the end, fail on a Lua error: it would let requests pass."""
    config = with_small_pools(tmp_path_factory.mktemp("small_pools") / "config")
    async with open_gateway(config) as opened:
        yield opened
        errors = await opened.rig.stats("gateway", "lua.errors")
        assert sum(errors.values()) == 0
