"""An Envoy and a discovery server for each test, in both forms of the protocol."""

from collections.abc import AsyncIterator

import pytest

from tests.rigs.mesh.ads import Driven


@pytest.fixture(params=["DELTA_GRPC", "GRPC"])
async def driven(request) -> AsyncIterator[Driven]:
    """Return a started Envoy without a snapshot."""
    made = Driven(request.param)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
