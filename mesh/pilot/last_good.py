"""Writes the files from which proxies start without a control plane.

A proxy's files are written after it has acknowledged everything, so what it once refused is never
among them. A proxy that started from these files watches them and has no stream: it gets each
published configuration, which Envoy has validated, at once. What an edit removes stays in the files
for the drain time, because the calls of a replaced listener still need it.
"""

import asyncio
import contextlib
import logging
import time
from pathlib import Path

from mesh.controlplane import model
from mesh.controlplane.deliver import files
from mesh.controlplane.deliver.snapshot import Snapshot, edge_snapshot, sidecar_snapshot
from mesh.controlplane.drain import DRAIN_S
from mesh.pilot.compiling import Compiled
from mesh.pilot.places import Places

_FOLDER = "last-good"
QUIET_S = 0.2
"""Files are written when no proxy has acknowledged anything for this time, because their
translation would delay the acknowledgements of other proxies,"""
QUIET_S_MAX = 2.0
"""or after this time. A proxy without a stream gets its files at once."""
KEPT_S = DRAIN_S + 5.0
"""The time after which what has left the configuration leaves the files."""
RETRY_S = 1.0
"""The pause before files are written again that a full disk prevented."""

log = logging.getLogger("control-plane")


class LastGood:
    """The files of all proxies. One file is written at a time; only the newest version waits."""

    def __init__(self, places: Places, kept_s: float = KEPT_S) -> None:
        self._places, self._kept_s = places, kept_s
        self._wanted: dict[str, Compiled] = {}
        self._changed = asyncio.Event()
        self._urgent = asyncio.Event()
        self._leaving: dict[str, tuple[float, Snapshot]] = {}
        """Of each proxy whose files have more than its snapshot, when the rest is removed."""
        self._written: dict[str, tuple[str, model.Workload | None]] = {}
        """Of each proxy, the version of its resources and what its bootstrap is made of."""

    def want(self, node: str, compiled: Compiled, *, at_once: bool = False) -> None:
        """Have the files of a proxy written soon; a later call replaces an earlier one."""
        # A folder that the writing thread creates while a socket is bound would get no x right: the
        # umask belongs to the whole process. A full disk is the business of `run`.
        with contextlib.suppress(OSError):
            files.make_folder(self._places.proxy(node) / _FOLDER)
        self._wanted[node] = compiled
        self._changed.set()
        if at_once:
            self._urgent.set()

    async def run(self) -> None:
        """Write until cancelled. A full disk delays files; it stops no proxy."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._next_s())
                await self._quiet()
            await self._clear()
            while self._wanted:
                node = next(iter(self._wanted))
                compiled = self._wanted.pop(node)
                wanted = compiled.nodes[node].version, workload_of(compiled.mesh, node)
                # The stack removes the folder of an instance that has stopped.
                if self._written.get(node) == wanted and self._places.good(node).exists():
                    continue
                try:
                    await asyncio.to_thread(self.write, node, compiled)
                except OSError as error:
                    log.error("the last good files of %s cannot be written: %s", node, error)
                    self._wanted.setdefault(node, compiled)
                    await asyncio.sleep(RETRY_S)
                else:
                    self._written[node] = wanted

    def _next_s(self) -> float | None:
        """Return how long until something has to be removed."""
        if not self._leaving:
            return None
        return max(0.0, min(at_s for at_s, _ in self._leaving.values()) - time.monotonic())

    async def _clear(self) -> None:
        """Remove from the files what no call needs any more."""
        for node, (at_s, snapshot) in list(self._leaving.items()):
            if at_s > time.monotonic():
                continue
            folder = self._folder(snapshot.workload)
            try:
                await asyncio.to_thread(files.clear_last_good, snapshot, folder)
            except OSError as error:
                log.error("the last good files of %s cannot be written: %s", node, error)
                self._leaving[node] = time.monotonic() + RETRY_S, snapshot
            else:
                del self._leaving[node]

    async def _quiet(self) -> None:
        """Wait until no more files are wanted for a moment, or one of them at once."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET_S_MAX):
                while self._changed.is_set():
                    self._changed.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._urgent.wait(), QUIET_S)
                        break
        self._changed.clear()
        self._urgent.clear()

    def write(self, node: str, compiled: Compiled) -> None:
        """Write the files of one proxy now."""
        source_of = files.secret_files_in(self._folder)
        mesh, text = compiled.mesh, compiled.passed_on
        if mesh.edge.workload.node == node:
            made = edge_snapshot(mesh.edge, text, source_of)
        else:
            found = next(each for each in mesh.sidecars if each.workload.node == node)
            made = sidecar_snapshot(found, text, source_of)
        folder = self._folder(made.workload)
        self._leaving.pop(node, None)
        files.write_last_good(made, folder)
        if files.keeps(made, folder):
            self._leaving[node] = time.monotonic() + self._kept_s, made

    def write_stream_bootstraps(self, compiled: Compiled) -> None:
        """Write the bootstraps with which proxies start by stream."""
        for each in workloads(compiled.mesh):
            socket = self._places.ads_socket(each.node)
            path = self._places.proxy(each.node) / "stream.json"
            files.write_stream_bootstrap(each, socket, path)

    def _folder(self, workload: model.Workload) -> Path:
        return self._places.proxy(workload.node) / _FOLDER


def workload_of(mesh: model.Mesh, node: str) -> model.Workload | None:
    """Return the workload of a proxy."""
    return next((each for each in workloads(mesh) if each.node == node), None)


def workloads(mesh: model.Mesh) -> list[model.Workload]:
    """Return the workloads of all proxies."""
    return [*(each.workload for each in mesh.sidecars), mesh.edge.workload]
