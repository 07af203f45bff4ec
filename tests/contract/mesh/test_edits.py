"""Edits of mesh/config/ while calls are in flight: no call fails."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from mesh.controlplane.deliver.snapshot import Snapshot
from ops.waiting import until
from tests.rigs.mesh.edited import Edited, open_edited
from tests.rigs.mesh.proxies import Rig

PROXIES = ("payments", "customers", "gateway")
COUNTERS = {
    "lds.json": "listener_manager.lds.update_success",
    "cds.json": "cluster_manager.cds.update_success",
}
IN_FLIGHT_S = 3.0
"""How long calls remain in flight after an edit. A drain of two seconds would abort them."""


@pytest.fixture(scope="module")
async def edited() -> AsyncIterator[Edited]:
    """Return the running proxies."""
    async with open_edited() as made:
        yield made


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("mesh.yaml", "response.code >= 500", "response.code >= 501"),
        ("partners/ach-network.yaml", "timeout: 30s", "timeout: 29s"),
        ("services/customers.yaml", "http2MaxRequests: 4096", "http2MaxRequests: 4095"),
        ("gateway.yaml", "perSecond: 2000", "perSecond: 2001"),
    ],
    ids=["access log", "a partner's timeout", "a pool between services", "a token bucket"],
)
async def test_an_edit_of_the_configuration_fails_no_call_in_flight(
    edited: Edited, file: str, old: str, new: str
) -> None:
    edited.edit(file, old, new)
    rig = edited.gateway.rig
    # This takes seconds on a busy machine, so it ends before the calls begin: their deadlines
    # would end them.
    resources = await asyncio.to_thread(rig.rendered, edited.config)
    await edited.in_flight(lambda: _take(rig, resources), IN_FLIGHT_S)


async def _take(rig: Rig, new: Mapping[str, Snapshot]) -> None:
    """Write the new resources, and wait until every proxy has them."""
    before = await _updates(rig)
    changed = rig.write(new)
    expected = {_update(path) for path in changed if path.parent.name in PROXIES}
    assert expected

    async def taken() -> bool:
        now = await _updates(rig)
        return all(now[each] > before[each] for each in expected)

    await until(taken, 30, "the proxies take the edit")


async def _updates(rig: Rig) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for name in PROXIES:
        stats = await rig.stats(name, "update_success")
        found |= {(name, key): stats[key] for key in COUNTERS.values()}
    return found


def _update(path: Path) -> tuple[str, str]:
    return path.parent.name, COUNTERS[path.name]
