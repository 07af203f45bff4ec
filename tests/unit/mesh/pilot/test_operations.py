"""The part of the admin API that changes the mesh for a while, without a process."""

import json
from pathlib import Path
from typing import Any

import pytest

from mesh.pilot.compiling import Compiled
from mesh.pilot.config_folder import Content
from mesh.pilot.drained import Drained
from mesh.pilot.expirer import Expirer
from mesh.pilot.expiring import Expiring
from mesh.pilot.operations import routes
from mesh.pilot.pilot import Approve
from tests.rigs.mesh.pilot_bank import ENTRY, GOOD, Bank
from tests.unit.mesh.pilot.test_drained import ONE, OTHER
from tests.unit.mesh.pilot.test_drained import bank as bank_with


class _Request:
    """A request of a caller that has no socket."""

    transport = None

    def __init__(self, **body: Any) -> None:
        self._body = json.dumps(body).encode()

    async def read(self) -> bytes:
        """Return the body."""
        return self._body


async def _guard() -> Approve:
    return lambda *_: None


@pytest.mark.parametrize("error", [TimeoutError("Envoy is slow"), OSError("no space left")])
async def test_a_drain_that_failed_does_not_begin_later(tmp_path: Path, error: OSError) -> None:
    """Regression: the answer was a failure, and the next edit drained the instance."""
    bank, broken = Bank(tmp_path), [False]
    compiling = bank._compile

    async def compiled(content: Content) -> Compiled:
        if broken[0]:
            raise error
        return await compiling(content)

    bank._compile = compiled
    pilot, places = bank.pilot(), bank.places
    await pilot.apply(GOOD, ENTRY)
    places.endpoints.parent.mkdir(parents=True, exist_ok=True)
    places.endpoints.write_text(bank_with(ONE, OTHER).model_dump_json())
    drained = Drained(places.drained)
    expirer = Expirer(pilot, Expiring(places.expiring), lambda: 0.0)
    found: dict[str, Any] = {
        each.path: each.handler for each in routes(places, pilot, drained, expirer, _guard)
    }
    broken[0] = True
    with pytest.raises(OSError, match=str(error)):
        await found["/v1/drain"](_Request(instance="customers-0"))
    assert drained.marks() == {}
    broken[0] = False
    await found["/v1/drain"](_Request(instance="customers-0"))
    assert drained.marks() == {"customers-0": False}
    broken[0] = True
    with pytest.raises(OSError, match=str(error)):
        await found["/v1/drain"](_Request(instance="customers-0", force=True))
    assert drained.marks() == {"customers-0": False}, "it drained before"
