"""The process that serves many simulated proxies: the control plane's own server and cache.

It reads commands from its standard input, one a line, and answers each with one line of JSON. The
CPU that it reports is that of this process, from the publication to the last acknowledgement.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from lab.bench.meters import yardstick
from lab.bench.variants.mesh import population
from lab.bench.variants.mesh.population import Edits, Nodes
from mesh.controlplane.deliver.cache import Cache
from mesh.controlplane.deliver.packed import NodeSnapshot
from mesh.controlplane.deliver.server import ANY_NODE, Server, Settings
from ops.waiting import scaled_s

ALL_WITHIN_S = 120.0
ADMIT_ALL = Settings(streams_per_s=1_000_000.0, burst=1_000_000)
"""The limit of new streams would only lengthen the preparation."""
FIRST, FULL, TO_ALL, TO_SOME, TO_ONE = "first", "full", "to-all", "to-some", "to-one"
"""The commands: all proxies get everything for the first time, everything changes, one cluster
changes at all proxies, at the instances of one service, or at one proxy."""
INSTANCES = ("-0", "-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9")
Pushes = dict[str, Callable[[Nodes], Nodes]]


class Plane:
    """The server and the cache, with the snapshots that the proxies should have."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self._cache = Cache(time.monotonic, self._acknowledged)
        self.server = Server(self._cache, ADMIT_ALL)
        self._open: dict[str, str] = {}
        self._all = asyncio.Event()
        self._pushes = _pushes()

    def _acknowledged(self, node: str, snapshot: NodeSnapshot) -> None:
        if self._open.get(node) == snapshot.version:
            del self._open[node]
            if not self._open:
                self._all.set()

    async def push(self, command: str) -> dict[str, float]:
        """Publish what a command names and wait until every proxy has it; return what it cost."""
        before, after = self.nodes, self._pushes[command](self.nodes)
        first = command == FIRST
        changed = [name for name, each in after.items() if first or each is not before[name]]
        self._open = {name: after[name].version for name in changed}
        self._all.clear()
        gc.collect()
        slow, used, begun = yardstick.slowness(), _cpu_s(), time.monotonic()
        for each in after.values():
            self._cache.publish(each)
        async with asyncio.timeout(scaled_s(ALL_WITHIN_S)):
            await self._all.wait()
        cpu_s, wall_s = _cpu_s() - used, time.monotonic() - begun
        self.nodes = after
        slow = (slow + yardstick.slowness()) / 2
        return {
            "nodes": len(changed),
            "cpu_s": cpu_s,
            "wall_s": wall_s,
            "slowness": slow,
            "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def _pushes() -> Pushes:
    edits = Edits()
    one = "service-007"
    return {
        FIRST: lambda nodes: nodes,
        FULL: edits.everything,
        TO_ALL: lambda nodes: edits.one_cluster(nodes, list(nodes)),
        TO_SOME: lambda nodes: edits.one_cluster(
            nodes, [name for end in INSTANCES if (name := f"{one}{end}") in nodes]
        ),
        TO_ONE: lambda nodes: edits.one_cluster(nodes, [f"{one}-0"]),
    }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def run(places: Path, socket: Path, nodes: int) -> None:
    """Serve until the end of the standard input."""
    plane = Plane(population.of_stack(places, nodes))
    await plane.server.serve(ANY_NODE, socket)
    names = {kind.value: each for kind, each in population.names_of(plane.nodes).items()}
    _say({"names": names, "nodes": list(plane.nodes)})
    while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
        _say(await plane.push(command))
    await plane.server.close()


def _say(value: object) -> None:
    os.write(sys.stdout.fileno(), orjson.dumps(value) + b"\n")


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
