"""Interbank transfers while the mesh changes: how many fail because of each change.

The transfers arrive at a steady rate, well below the bank's maximum. So a call that fails does not
fail because the machine is full.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from lab.bench.bench import Bench
from lab.bench.load import orders
from lab.bench.runs import Load
from lab.bench.test_bench import TestBench
from lab.bench.variants.mesh.edits import ControlPlane, Folder, edited
from mesh.pilot.places import NAME
from ops.waiting import FACTOR_VARIABLE, scaled_s, until
from sandbox.stack.home import REPO

RATE_PER_S = 40.0
CONNECTIONS = 64
WARM_UP_S = 2.0
AT_MOST_S = 180.0
"""The measured time; it ends early when the change is complete."""
AFTERWARDS_S = 2.0
"""How long the load continues after a change, so that its calls use what has changed."""
EDITS, QUICK_EDITS = 24, 3
SERVICE, SECOND, VERSION = "customers", "customers-1", "v2"
BPCTL_S = 120.0
Change = Callable[[Bench], Awaitable[None]]


async def unharmed(bench: Bench) -> None:
    """Make each change under load, and add the number of failed transfers."""
    for name, change in CHANGES.items():
        bench.found.figures[f"control_plane.failed.{name}"] = await failed(bench, name, change)


async def failed(bench: Bench, name: str, change: Change) -> int:
    """Make one change under load; return how many transfers were refused or not answered."""
    warm_up_s = bench.scale.quick_warm_up_s if bench.scale.quick else WARM_UP_S
    load = Load(f"during.{name}", CONNECTIONS, warm_up_s, AT_MOST_S, RATE_PER_S)
    requests = orders.interbank(bench.test_bench, bench.callers)
    during = _meanwhile(change, bench)
    result = await bench.measure(load, requests, during=during)
    outcome = result.outcome
    if not result.outcome.latencies_ms:
        result.void.append("no transfer was made during the change")
    return sum(outcome.refused.values()) + outcome.unanswered


@asynccontextmanager
async def _meanwhile(change: Change, bench: Bench) -> AsyncGenerator[asyncio.Future[Any]]:
    """Make the change; the future is done a moment after it."""

    async def changed() -> None:
        await change(bench)
        await asyncio.sleep(AFTERWARDS_S)

    task = asyncio.create_task(changed())
    try:
        yield task
    finally:
        await task


async def _edit(bench: Bench) -> None:
    await edited(bench.test_bench, QUICK_EDITS if bench.scale.quick else EDITS)


async def _canary(bench: Bench) -> None:
    """Shift calls to a second instance, then all calls, then none, and stop it."""
    test_bench = bench.test_bench
    version = ("--version", VERSION)
    await _bpctl(test_bench, "sandbox", "instance", "start", SERVICE, *version, "--held")
    try:
        await _bpctl(test_bench, "mesh", "canary", "start", SERVICE, *version, "--weight", "50")
        await asyncio.sleep(AFTERWARDS_S)
        await _bpctl(test_bench, "mesh", "canary", "promote", SERVICE, "--keep-old")
        await asyncio.sleep(AFTERWARDS_S)
        await _bpctl(test_bench, "mesh", "canary", "rollback", SERVICE)
    finally:
        await _bpctl(test_bench, "sandbox", "instance", "stop", SECOND)


async def _rollback(bench: Bench) -> None:
    """Edit a partner's circuit breaker, then roll the revision back."""
    test_bench = bench.test_bench
    plane = ControlPlane(test_bench)
    folder = Folder(plane.places)
    try:
        before = (await plane.get("state"))["revision"]["number"]
        publications = (await plane.get("state"))["publications"]
        file = "partners/ach-network.yaml"
        folder.replace(
            file, folder.text(file).replace("baseEjectionTime: 60s", "baseEjectionTime: 61s")
        )
        publications = await plane.synced(publications)
        await _bpctl(test_bench, "mesh", "rollback", "--to", str(before))
        await plane.synced(publications)
    finally:
        folder.restore()
        await plane.close()


async def _restart(bench: Bench) -> None:
    """Stop and start the control plane, then kill it; wait for the proxies each time."""
    test_bench = bench.test_bench
    stack = test_bench.stack
    await asyncio.to_thread(stack.restart, NAME)
    await _connected(test_bench)
    pid = await asyncio.to_thread(stack.kill, NAME)
    await asyncio.to_thread(stack.wait_ready, NAME, not_pid=pid)
    await _connected(test_bench)


async def _connected(test_bench: TestBench) -> None:
    """Wait until every proxy has a stream again and has acknowledged everything."""
    plane = ControlPlane(test_bench)

    async def all_synced() -> bool:
        proxies = (await plane.get("proxies"))["proxies"]
        return bool(proxies) and all(each["acked"] == each["version"] for each in proxies)

    try:
        await until(all_synced, 60, "every proxy has its configuration again")
    finally:
        await plane.close()


async def _bpctl(test_bench: TestBench, *arguments: str) -> None:
    """Run bpctl as an SRE does. Raises CalledProcessError."""
    environment = {"BP_HOME": str(test_bench.stack.home.root), "PATH": "/usr/bin:/bin"}
    if FACTOR_VARIABLE in os.environ:
        environment[FACTOR_VARIABLE] = os.environ[FACTOR_VARIABLE]
    await asyncio.to_thread(
        subprocess.run,
        [str(REPO / "bpctl"), *arguments],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=scaled_s(BPCTL_S),
    )


CHANGES: dict[str, Change] = {
    "edit": _edit,
    "canary": _canary,
    "rollback": _rollback,
    "restart": _restart,
}
"""Name of the change -> how it is made."""
