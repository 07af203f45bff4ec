"""Collects the counters of all proxies from their admin pages, every few seconds."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from mesh.controlplane import model
from mesh.pilot.counted import CALLS_PAGE, OTHERS_PAGE, Sample, sample
from mesh.pilot.window import Window

EVERY_S = 5.0
"""As often as Envoy adds up its histograms."""
ANSWER_WITHIN_S = 3.0
"""A proxy that answers later is left out of one round."""
PAGE_BYTES_MAX = 8 * 1024 * 1024

log = logging.getLogger("control-plane")


class Collector:
    """Fills a window; `mesh` returns the mesh in force, `steady_s` a clock that never jumps."""

    def __init__(
        self, window: Window, mesh: Callable[[], model.Mesh | None], steady_s: Callable[[], float]
    ) -> None:
        self.window = window
        self._mesh = mesh
        self._steady_s = steady_s
        self._one = asyncio.Lock()

    def now_s(self) -> float:
        """Return the time of the window."""
        return self._steady_s()

    def expect(self, mesh: model.Mesh) -> None:
        """Note the proxies of a mesh before they start, so that their first calls are counted."""
        for node in admin_sockets(mesh):
            self.window.expect(node, self._steady_s())

    async def run(self) -> None:
        """Collect until cancelled."""
        while True:
            await self.collect()
            await asyncio.sleep(EVERY_S)

    async def collect(self) -> None:
        """Ask every proxy once. A proxy that does not run or answer is left out."""
        mesh = self._mesh()
        if mesh is None:
            return
        async with self._one:
            sockets = admin_sockets(mesh)
            self.window.keep(sockets)
            self.expect(mesh)
            await asyncio.gather(*(self._add(node, path) for node, path in sockets.items()))

    async def _add(self, node: str, socket: Path) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                found = await _read(socket)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError) as error:
            log.debug("no counters of %s: %r", node, error)
            return
        self.window.add(node, self._steady_s(), found)


def admin_sockets(mesh: model.Mesh) -> Mapping[str, Path]:
    """Return the socket of each proxy's admin page."""
    every = (*(each.workload for each in mesh.sidecars), mesh.edge.workload)
    return {each.node: each.admin_socket for each in every}


async def _read(socket: Path) -> Sample:
    connector = aiohttp.UnixConnector(str(socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        return sample(*[await _page(session, each) for each in (CALLS_PAGE, OTHERS_PAGE)])


async def _page(session: aiohttp.ClientSession, target: str) -> str:
    async with session.get(f"http://envoy{target}", raise_for_status=True) as answer:
        body = bytearray()
        # One read returns only what has arrived. A page that is cut has wrong numbers: a line may
        # end within one, and a counter that comes back later would be all growth.
        async for part in answer.content.iter_any():
            body += part
            if len(body) > PAGE_BYTES_MAX:
                raise ValueError(f"{target} has more than {PAGE_BYTES_MAX} bytes")
        return body.decode(errors="replace")
