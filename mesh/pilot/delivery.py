"""Publishes compiled configurations to the proxies, and knows how far each one is."""

import asyncio
import contextlib
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mesh.controlplane.deliver.cache import Cache
from mesh.controlplane.deliver.packed import NodeSnapshot
from mesh.controlplane.deliver.server import Server
from mesh.controlplane.deliver.status import NodeStatus
from mesh.pilot.compiling import Compiled
from mesh.pilot.last_good import LastGood, workloads
from mesh.pilot.places import Places
from mesh.pilot.proxies import Synced

LOOK_EVERY_S = 0.05
PINNED = "PINNED"
"""The state of a proxy that was started from an altered copy of its configuration."""

log = logging.getLogger("control-plane")


class Delivery:
    """The streams of all proxies, and the files for those that have none."""

    def __init__(self, places: Places, cache: Cache, server: Server, last_good: LastGood) -> None:
        self._places = places
        self._cache = cache
        self._server = server
        self._last_good = last_good
        self._compiled: Compiled | None = None
        self._sockets: dict[str, Path] = {}

    async def publish(self, compiled: Compiled) -> None:
        """Make this the configuration of all proxies, and listen for those that are new."""
        before, self._compiled = self._compiled, compiled
        for node, snapshot in compiled.nodes.items():
            self._cache.publish(snapshot)
            if not self._cache.is_connected(node) and self._places.reads_files(node):
                self._last_good.want(node, compiled, at_once=True)
        new = compiled.nodes.keys() - self._sockets.keys()
        if new or before is None or workloads(before.mesh) != workloads(compiled.mesh):
            self._last_good.write_stream_bootstraps(compiled)
        for node in sorted(new):
            socket = self._places.ads_socket(node)
            socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            await self._server.serve(node, socket)
            # Last, so that a failure is repeated by the next publication.
            self._sockets[node] = socket
        # Afterwards: the end of a stream takes a while, and the others need not wait for it.
        for node in sorted(self._sockets.keys() - compiled.nodes.keys()):
            await self._server.stop(self._sockets.pop(node))
            self._cache.withdraw(node)

    def acknowledged(self, node: str, snapshot: NodeSnapshot) -> None:
        """A proxy has everything of a snapshot."""
        compiled = self._compiled
        current = compiled.nodes.get(node) if compiled is not None else None
        # Equal resources may have been compiled again since: another object, the same version.
        if compiled and current and current.version == snapshot.version:
            self._last_good.want(node, compiled)

    def status(self) -> list[dict[str, Any]]:
        """Return for each proxy its versions and the state of each kind."""
        return [self._shown(self._cache.status(node)) for node in self._cache.nodes()]

    async def wait_synced(self, timeout_s: float, connects_s: float = 0.0) -> Synced:
        """Wait until every connected proxy has acknowledged what is published.

        A proxy that is not connected is not waited for: it may be stopped. With `connects_s`, one
        that starts by stream has this time to connect again, for example after a restart of the
        control plane.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(connects_s, timeout_s)):
                while self._connecting():  # noqa: ASYNC110 - it asks links on the disk too
                    await asyncio.sleep(LOOK_EVERY_S)
        every = [self._cache.status(node) for node in self._cache.nodes()]
        connected = {each.node: each.version for each in every if each.streams}
        found = await self._cache.wait_synced(connected, timeout_s)
        return Synced(
            sorted(node for node, each in found.items() if each.acked != each.version),
            sorted(each.node for each in every if not each.streams),
        )

    def _connecting(self) -> bool:
        """Return whether a proxy that uses a stream has none."""
        return any(
            not self._cache.is_connected(node)
            and not self._places.reads_files(node)
            and self._places.pinned_since_s(node) is None
            for node in self._cache.nodes()
        )

    def _shown(self, status: NodeStatus) -> dict[str, Any]:
        kinds = {
            kind.name: {**asdict(each), "state": each.state.value}
            for kind, each in status.kinds.items()
        }
        pinned_since_s = None if status.streams else self._places.pinned_since_s(status.node)
        return {
            "node": status.node,
            "version": status.version,
            "acked": status.acked,
            "streams": status.streams,
            "state": PINNED if pinned_since_s is not None else status.state.value,
            "pinned_since_s": pinned_since_s,
            "kinds": kinds,
        }
