"""Edits of mesh/config/ while calls are in flight: no call fails."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from mesh import ctl
from mesh.controlplane.deliver.snapshot import Snapshot
from ops.waiting import until
from tests.rigs.mesh.gateway import BODY, TRANSFER, Gateway, open_gateway
from tests.rigs.mesh.partner import HOLD, Partner

ACH = "ach-network.example"
PROXIES = ("payments", "customers", "gateway")
BALANCE = "/v1/balances/0190a8a0-0000-7000-8000-000000000007"
COUNTERS = {
    "lds.json": "listener_manager.lds.update_success",
    "cds.json": "cluster_manager.cds.update_success",
}
IN_FLIGHT_S = 3.0
"""How long calls remain in flight after an edit. A drain of two seconds would abort them."""


@dataclass
class Edited:
    """A gateway, two sidecars and a partner, with a config folder that the tests edit."""

    gateway: Gateway
    ach: Partner
    config: Path
    statuses: list[int] = field(default_factory=list[int])
    errors: list[str] = field(default_factory=list[str])

    async def edit(self, file: str, old: str, new: str) -> Mapping[str, Snapshot]:
        """Change a file, and return the new resources of every proxy.

        This takes seconds on a busy machine, so it ends before the calls begin: their deadlines
        would end them.
        """
        path = self.config / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        return await asyncio.to_thread(self.gateway.rig.rendered, self.config)

    async def take(self, new: Mapping[str, Snapshot]) -> None:
        """Write the new resources, and wait until every proxy has them."""
        before = await self._updates()
        changed = self.gateway.rig.write(new)
        expected = {_update(path) for path in changed if path.parent.name in PROXIES}
        assert expected

        async def taken() -> bool:
            now = await self._updates()
            return all(now[each] > before[each] for each in expected)

        await until(taken, 30, "the proxies take the edit")

    async def _updates(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for name in PROXIES:
            stats = await self.gateway.rig.stats(name, "update_success")
            found |= {(name, key): stats[key] for key in COUNTERS.values()}
        return found

    async def order(self) -> int:
        """Order a transfer whose service waits until it is released; return the status."""
        body = BODY | {"memo": "held"}
        return (await self.gateway.call("POST", TRANSFER, json=body)).status

    async def submit(self) -> int:
        """Call a partner that waits until it is released; return the status."""
        connector = aiohttp.UnixConnector(str(self.gateway.rig.socket_out("payments")))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"http://{ACH}/x", data=b"{}") as response,
        ):
            return response.status

    async def load(self) -> None:
        """Read balances until cancelled, and note each status; a broken connection is 0."""
        while True:
            try:
                self.statuses.append((await self.gateway.call("GET", BALANCE)).status)
            except aiohttp.ClientError as error:
                self.statuses.append(0)
                self.errors.append(repr(error))
            # This makes fewer reads than a customer's bucket allows.
            await asyncio.sleep(0.02)


def _update(path: Path) -> tuple[str, str]:
    return path.parent.name, COUNTERS[path.name]


@pytest.fixture(scope="module")
async def edited() -> AsyncIterator[Edited]:
    """Return the running proxies."""
    async with open_gateway() as gateway:
        rig, ach = gateway.rig, Partner()
        config = rig.home / "config"
        shutil.copytree(ctl.CONFIG, config)
        await ach.start(rig.partner_port[ACH], rig.home / "partners" / ACH, rig.ach_members_ca.pem)
        try:
            yield Edited(gateway, ach, config)
        finally:
            await ach.close()


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
    resources = await edited.edit(file, old, new)
    edited.ach.told(HOLD)
    seen = edited.gateway.seen
    calls = seen.calls
    slow = [asyncio.create_task(edited.order()), asyncio.create_task(edited.submit())]

    async def in_flight() -> bool:
        return seen.calls > calls and bool(edited.ach.keys)

    await until(in_flight, 10, "both slow calls have arrived")
    load = asyncio.create_task(edited.load())
    try:
        await edited.take(resources)
        await asyncio.sleep(IN_FLIGHT_S)
        edited.ach.release.set()
        seen.release.set()
        assert await asyncio.gather(*slow) == [200, 200]
    finally:
        load.cancel()
        edited.ach.release.clear()
        seen.release.clear()
    assert set(edited.statuses) == {200}, edited.errors
