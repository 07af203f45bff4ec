"""The control plane with many simulated proxies: CPU and memory of the serving process.

The server and the proxies are processes of their own, and no other part of the bank is in them.
Each number of proxies begins with a new server, so memory and cost of one do not affect another.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import cast

import orjson

from lab.bench.bench import Bench
from lab.bench.variants.mesh import nodes_clients, nodes_server
from lab.bench.variants.mesh.nodes_server import FIRST, FULL, TO_ALL, TO_ONE, TO_SOME
from sandbox.stack.home import REPO

SIZES = (250, 500, 1_000)
QUICK_SIZES = (100, 200)
ROUNDS: Mapping[str, int] = {FIRST: 1, FULL: 3, TO_ALL: 3, TO_SOME: 10, TO_ONE: 10}
"""How often each push is measured; the median counts."""
QUICK_ROUNDS: Mapping[str, int] = {FIRST: 1, FULL: 1, TO_ALL: 1, TO_SOME: 2, TO_ONE: 2}
LINE_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Push:
    """One push: CPU of the serving process, until the last acknowledgement."""

    nodes: int
    cpu_s: float
    wall_s: float
    slowness: float
    """How many times slower the host was than the documented one."""
    rss_mib: float
    """The most memory that the process has had so far."""

    @property
    def documented_cpu_s(self) -> float:
        """The CPU that the documented host would need."""
        return self.cpu_s / self.slowness


Pushes = dict[str, list[Push]]


async def nodes(bench: Bench) -> None:
    """Measure every number of proxies and add the figures."""
    places = bench.test_bench.stack.home.root / "mesh" / "endpoints.json"
    quick = bench.scale.quick
    found: dict[int, Pushes] = {}
    for size in QUICK_SIZES if quick else SIZES:
        bench.say(f"control plane, {size} simulated proxies")
        found[size] = await measured(places, size, QUICK_ROUNDS if quick else ROUNDS)
    bench.found.figures |= figures(found)
    bench.found.details["control_plane"] = details(found)


async def measured(places: Path, size: int, rounds: Mapping[str, int]) -> Pushes:
    """Serve `size` proxies and return each kind of push as often as `rounds` says."""
    with tempfile.TemporaryDirectory(prefix="bp-nodes-") as folder:
        socket = Path(folder) / "ads.sock"
        async with _process(nodes_server.__name__, str(places), str(socket), str(size)) as plane:
            about = orjson.loads(await _line(plane))
            async with _process(nodes_clients.__name__) as clients:
                await _say(clients, orjson.dumps({"socket": str(socket), **about}))
                if await _line(clients) != nodes_clients.ASKED:
                    raise RuntimeError("the simulated proxies did not start")
                return {
                    command: [await _push(plane, command) for _ in range(times)]
                    for command, times in rounds.items()
                }


async def _push(plane: Process, command: str) -> Push:
    await _say(plane, command.encode())
    return Push(**orjson.loads(await _line(plane)))


async def _say(process: Process, line: bytes) -> None:
    into = cast("asyncio.StreamWriter", process.stdin)
    into.write(line + b"\n")
    await into.drain()


async def _line(process: Process) -> bytes:
    line = await cast("asyncio.StreamReader", process.stdout).readline()
    if not line:
        raise RuntimeError(f"a process of the bench ended with {await process.wait()}")
    return line


@asynccontextmanager
async def _process(module: str, *arguments: str) -> AsyncGenerator[Process]:
    """Run a module until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        cwd=REPO,
        stdin=PIPE,
        stdout=PIPE,
        limit=LINE_BYTES_MAX,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def figures(found: Mapping[int, Pushes]) -> dict[str, float]:
    """Return the figures of the largest number of proxies, and how they grow.

    CPU is that of the documented host, and `measured_cpu_s` that of this one. A short run, with
    fewer proxies, has figures of other names.
    """
    least, most = min(found), max(found)
    pushes = found[most]
    full_s = _cpu_s(pushes[FULL])
    growth = (full_s / most) / (_cpu_s(found[least][FULL]) / least)
    named = {
        "full_push.cpu_s": round(full_s, 3),
        "full_push.measured_cpu_s": round(median(each.cpu_s for each in pushes[FULL]), 3),
        "first_push.cpu_s": round(_cpu_s(pushes[FIRST]), 3),
        "rss_mib": round(_rss_mib(pushes), 1),
        "cpu_growth": round(growth, 3),
        "slowness": round(mean(each.slowness for each in _every(found.values())), 2),
    }
    for command in (TO_ALL, TO_SOME, TO_ONE):
        name, cpu_s = command.replace("-", "_"), _cpu_s(pushes[command])
        named |= {
            f"{name}.cpu_ms": round(1000 * cpu_s, 3),
            f"{name}.times_cheaper": round(full_s / cpu_s, 1),
        }
    prefix = "control_plane" if most == max(SIZES) else f"control_plane.of_{most}"
    return {f"{prefix}.{name}": value for name, value in named.items()}


def details(found: Mapping[int, Pushes]) -> dict[str, dict[str, dict[str, float]]]:
    """Return each kind of push with each number of proxies."""
    return {
        str(size): {
            command: {
                "pushes": len(some),
                "cpu_s": round(median(each.cpu_s for each in some), 5),
                "documented_cpu_s": round(_cpu_s(some), 5),
                "wall_s": round(median(each.wall_s for each in some), 5),
                "rss_mib": round(some[-1].rss_mib, 1),
            }
            for command, some in pushes.items()
        }
        for size, pushes in found.items()
    }


def _cpu_s(pushes: Sequence[Push]) -> float:
    return median(each.documented_cpu_s for each in pushes)


def _rss_mib(pushes: Pushes) -> float:
    return max(each.rss_mib for each in _every([pushes]))


def _every(found: Iterable[Pushes]) -> list[Push]:
    return [one for pushes in found for some in pushes.values() for one in some]
