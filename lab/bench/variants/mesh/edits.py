"""Edits of the active folder in place: the time from the rename of a file to the last ACK.

Each edit has a value that was never in force before, so each is validated by Envoy and pushed. One
long poll waits for the acknowledgement of all proxies. The files have their old text afterwards.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from lab.bench import series
from lab.bench.bench import Bench
from lab.bench.meters import cpu, yardstick
from lab.bench.test_bench import TestBench
from mesh.pilot.places import NAME, Places
from ops.waiting import scaled_s

EDITS = 201
QUICK_EDITS = 12
LOOK_S = 0.3
IDLE_S = 0.02
"""The control plane is idle if it uses less CPU than this between two looks, twice in a row:
last good files are written a moment after the last ACK."""
IDLE_LOOKS = 2
LOOKS_MAX = 40
SYNCED_S = 30.0
API = "http://control-plane/v1"


@dataclass(frozen=True, slots=True)
class Place:
    """One number in a file: the group of the pattern. It gets `values` values from `lowest`."""

    name: str
    file: str
    pattern: str
    lowest: int
    values: int

    def edited(self, text: str, number: int) -> str:
        """Return the text with another value."""
        found = re.search(self.pattern, text)
        if found is None:
            raise ValueError(f"{self.file} has no {self.pattern}")
        value = str(self.lowest + number % self.values)
        return text[: found.start(1)] + value + text[found.end(1) :]


PLACES = (
    Place("breaker", "partners/ach-network.yaml", r"consecutive5xxErrors: (\d+)", 6, 100_000),
    Place("retry", "services/customers.yaml", r"backoff: (\d+)ms", 26, 150),
    Place("bucket", "gateway.yaml", r"perAddress: \{perSecond: (\d+)", 2_001, 100_000),
)
"""What is edited in turn: a partner's circuit breaker, a service's retries, a token bucket."""


class ControlPlane:
    """The admin API of the running control plane."""

    def __init__(self, test_bench: TestBench) -> None:
        home = test_bench.stack.home
        self.places = Places(home.root, home.run)
        connector = aiohttp.UnixConnector(str(self.places.admin_socket))
        timeout = aiohttp.ClientTimeout(total=scaled_s(2 * SYNCED_S))
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()

    async def get(self, target: str, **query: Any) -> Any:
        """Return an answer of the API."""
        async with self._session.get(f"{API}/{target}", params=query) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def synced(self, after: int) -> int:
        """Wait until all proxies have a publication after this one; return its number."""
        answer = await self.get("synced", after=after, timeout_s=SYNCED_S)
        if answer["waiting"] or answer["publications"] <= after:
            found = (await self.get("state"))["findings"]
            raise RuntimeError(f"the edit did not reach {answer['waiting']}: {found}")
        return answer["publications"]


class Folder:
    """The active folder: files are replaced by renames, and `restore` brings the old ones back."""

    def __init__(self, places: Places) -> None:
        self._active = places.active
        # Outside the watched folder, so that only the rename is an edit.
        self._draft = places.home / "bench-edit.yaml"
        self._before: dict[Path, str] = {}

    def text(self, file: str) -> str:
        """Return the text of a file."""
        return (self._active / file).read_text()

    def replace(self, file: str, text: str) -> float:
        """Replace a file; return the moment of the rename."""
        path = self._active / file
        self._before.setdefault(path, path.read_text())
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as draft:
            draft.write(text)
        begun = time.perf_counter()
        os.replace(self._draft, path)
        return begun

    def restore(self) -> list[str]:
        """Replace each changed file by its old text; return their names."""
        changed = [path for path, text in self._before.items() if path.read_text() != text]
        for path in changed:
            self.replace(str(path.relative_to(self._active)), self._before[path])
        return [str(path.relative_to(self._active)) for path in changed]


@dataclass(slots=True)
class Edited:
    """The edits that were made: milliseconds by the edited place, and how slow the host was."""

    ms: dict[str, list[float]]
    slowness: list[float]
    """Of the wall clock, before each edit: other processes lengthen an edit as much as this."""
    cpu_s: float = 0.0
    """CPU of the control plane for all edits, with their records and the last good files."""

    @property
    def every_ms(self) -> list[float]:
        """All edits, the fastest first."""
        return sorted(ms for some in self.ms.values() for ms in some)


async def edits(bench: Bench) -> None:
    """Edit files in place, and add the figures of the time to the last acknowledgement."""
    count = QUICK_EDITS if bench.scale.quick else EDITS
    bench.say(f"{count} edits of the mesh's configuration")
    found = await edited(bench.test_bench, count)
    bench.found.figures |= figures(found)
    bench.found.details["edits"] = asdict(found)


async def edited(test_bench: TestBench, count: int) -> Edited:
    """Make `count` edits one after the other."""
    plane = ControlPlane(test_bench)
    folder = Folder(plane.places)
    found = Edited({place.name: [] for place in PLACES}, [])
    first, pid = random.randrange(10_000), test_bench.pids()[NAME]
    before_s = cpu.process_s(pid)
    try:
        publications = (await plane.get("state"))["publications"]
        for number in range(count):
            place = PLACES[number % len(PLACES)]
            text = place.edited(folder.text(place.file), first + number // len(PLACES))
            await _idle(pid)
            found.slowness.append(yardstick.slowness(time.perf_counter))
            waiting = asyncio.create_task(plane.synced(publications))
            await asyncio.sleep(LOOK_S)
            begun = folder.replace(place.file, text)
            publications = await waiting
            found.ms[place.name].append(1000 * (time.perf_counter() - begun))
        found.cpu_s = cpu.process_s(pid) - before_s
        if folder.restore():
            await plane.synced(publications)
    finally:
        folder.restore()
        await plane.close()
    return found


async def _idle(pid: int) -> None:
    """Wait until the control plane has recorded the edit before and written the last good files."""
    idle = 0
    for _ in range(LOOKS_MAX):
        before_s = cpu.process_s(pid)
        await asyncio.sleep(LOOK_S)
        idle = idle + 1 if cpu.process_s(pid) - before_s < IDLE_S else 0
        if idle == IDLE_LOOKS:
            return


def figures(found: Edited) -> dict[str, float]:
    """Return the percentiles over all edits as they were, and as on the documented host.

    There an idle core is free for each edit. `cpu_ms` is the control plane's CPU for one edit.
    """
    every, slow = found.every_ms, median(found.slowness)
    p50_ms, p99_ms = (series.percentile(every, percent) for percent in (50, 99))
    return {
        "control_plane.edit.p50_ms": round(p50_ms, 1),
        "control_plane.edit.p99_ms": round(p99_ms, 1),
        "control_plane.edit.documented_p50_ms": round(p50_ms / slow, 1),
        "control_plane.edit.documented_p99_ms": round(p99_ms / slow, 1),
        "control_plane.edit.slowness": round(slow, 2),
        "control_plane.edit.cpu_ms": round(1000 * found.cpu_s / len(every), 1),
        **{
            f"control_plane.edit.{name}.p50_ms": round(series.percentile(sorted(some), 50), 1)
            for name, some in found.ms.items()
            if some
        },
    }
