"""What the mesh costs: the interbank run once more with no sidecar between the bank's services.

Left out are three passes through a sidecar and two mutual TLS connections for each transfer: into
payments (its sidecar's listener), out of payments to customers and into customers (both sidecars).
Still there: the edge itself, and payments' sidecar on the way out to the partners, which is the
only TLS client that payments has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from statistics import mean

from sandbox.bench import orders, passes
from sandbox.bench.bench import Bench
from sandbox.bench.edge_direct import edge_straight_to
from sandbox.bench.runs import Result
from sandbox.bench.stand_in import in_place_of
from sandbox.bench.straight import RUN

SERVICE = "payments"
PASSES = len(passes.COUNTERS)
"""Passes through a sidecar that are left out for each transfer."""


async def mesh(bench: Bench) -> None:
    """Measure with the mesh, without and with it again.

    What is compared with the run in the middle is the mean of those around it, so that a machine
    that grows slower or quicker meanwhile does so for both.
    """
    requests = orders.interbank(bench.stand, bench.callers)
    width = f"c{bench.scale.connections}"
    before, beside, after = (
        bench.scale.load(name, bench.scale.connections, 4, 15)
        for name in (f"mesh.{width}", f"straight.{width}", f"mesh.{width}.after")
    )
    first, first_passes = await _counted(bench, bench.measure(before, requests))
    run = str(bench.stand.stack.home.run)
    async with (
        in_place_of(bench.stand, SERVICE, "sandbox.bench.straight", {RUN: run}) as pid,
        edge_straight_to(bench.stand, SERVICE),
    ):
        straight, straight_passes = await _counted(
            bench, bench.measure(beside, requests, instead={SERVICE: pid})
        )
    straight.void.extend(strays(straight_passes))
    last, last_passes = await _counted(bench, bench.measure(after, requests))
    bench.found.figures |= figures((first, last), straight)
    bench.found.details["mesh"] = {"passes": [first_passes, straight_passes, last_passes]}


async def _counted(bench: Bench, run: Awaitable[Result]) -> tuple[Result, dict[str, int]]:
    """Make a run, and count what passed through the sidecars meanwhile."""
    before = await passes.count(bench.stand)
    result = await run
    return result, passes.between(before, await passes.count(bench.stand))


def strays(counted: Mapping[str, int]) -> list[str]:
    """Return why a run did not go straight: what a sidecar counted that should have no calls."""
    return [f"{name}: {count} calls still went through" for name, count in counted.items() if count]


def figures(meshed: Sequence[Result], straight: Result) -> dict[str, float]:
    """Return what a pass costs in CPU of the whole bank, and the share of speed that is lost."""
    with_mesh_ms = mean(one.cpu_ms(one.spent.bank_cpu_s) for one in meshed)
    cost_ms = with_mesh_ms - straight.cpu_ms(straight.spent.bank_cpu_s)
    per_s = mean(one.per_s for one in meshed)
    share = 1 - per_s / straight.per_s if straight.per_s else 0.0
    return {
        "mesh.hop_cpu_us": round(1000 * cost_ms / PASSES, 1),
        "mesh.share": round(share, 3),
    }
