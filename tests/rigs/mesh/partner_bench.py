"""Sidecars and scripted partners, and the calls and counters that experiments need."""

import itertools
from collections.abc import Mapping

import aiohttp
from yarl import URL

from tests.rigs.mesh.proxies import Rig
from tests.rigs.mesh.scripted_partner import ScriptedPartner


class Bench:
    """Running sidecars and partners, and the calls and counters that experiments need."""

    def __init__(self, rig: Rig, partners: Mapping[str, ScriptedPartner]) -> None:
        self.rig, self.partners = rig, partners
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._numbers = itertools.count(1)

    async def call(
        self, service: str, host: str, path: str, body: bytes = b"{}", **headers: str
    ) -> int:
        """POST through a service's sidecar; return the status."""
        if service not in self._sessions:
            connector = aiohttp.UnixConnector(str(self.rig.socket_out(service)), limit=0)
            self._sessions[service] = aiohttp.ClientSession(connector=connector)
        sent = {"Idempotency-Key": f"key-{next(self._numbers)}", **headers}
        url = URL(f"http://{host}{path}", encoded=True)
        async with self._sessions[service].post(url, data=body, headers=sent) as response:
            await response.read()
            return response.status

    async def counters(self, service: str, host: str) -> dict[str, int]:
        """Return a sidecar's counters and gauges for one host, all read at the same time."""
        prefix = f"cluster.partner/{host}."
        stats = await self.rig.stats(service, prefix)
        return {name.removeprefix(prefix): value for name, value in stats.items()}

    async def breakers(self, service: str, *hosts: str) -> list[tuple[int, int]]:
        """Return how often each host's breaker has opened, and 1 if it is open now, else 0.

        Envoy's main thread, which opens and closes breakers, reads all at the same time.
        """
        stats = await self.rig.stats(service, "outlier_detection.ejections_")
        names = [f"cluster.partner/{host}.outlier_detection.ejections" for host in hosts]
        return [(stats[f"{name}_enforced_total"], stats[f"{name}_active"]) for name in names]

    async def close(self) -> None:
        """Stop everything."""
        for session in self._sessions.values():
            await session.close()
        await self.rig.close()
        for partner in self.partners.values():
            await partner.close()
