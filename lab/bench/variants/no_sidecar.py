"""The cost of the mesh: the interbank run with and without sidecars between the bank's services.

Without them, each transfer saves three passes through a sidecar and two mutual TLS connections:
into payments, from payments to customers, and into customers. The gateway stays, as does
payments' sidecar for calls to the partners, because it is the only TLS client that payments has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from statistics import mean

from lab.bench.bench import Bench
from lab.bench.load import orders
from lab.bench.meters import passes
from lab.bench.runs import Result
from lab.bench.variants.gateway_direct import gateway_direct_to
from lab.bench.variants.no_sidecar_service import RUN
from lab.bench.variants.replacement import in_place_of

SERVICE = "payments"
MODULE = "lab.bench.variants.no_sidecar_service"
PASSES = 3
"""Passes through a sidecar that each transfer saves: into payments, out of payments, and into
customers."""


async def mesh(bench: Bench) -> None:
    """Measure with the mesh, without sidecars, and with the mesh again.

    The run in the middle is compared with the mean of the other two, so a change of the machine's
    speed affects both sides of the comparison.
    """
    requests = orders.interbank(bench.test_bench, bench.callers)
    width = f"c{bench.scale.connections}"
    before, direct, after = (
        bench.scale.load(name, bench.scale.connections, 4, 15)
        for name in (f"mesh.{width}", f"no_sidecar.{width}", f"mesh.{width}.after")
    )
    first, first_passes = await _counted(bench, bench.measure(before, requests))
    run = str(bench.test_bench.stack.home.run)
    async with (
        in_place_of(bench.test_bench, SERVICE, MODULE, {RUN: run}) as pid,
        gateway_direct_to(bench.test_bench, SERVICE),
    ):
        no_sidecar, no_sidecar_passes = await _counted(
            bench, bench.measure(direct, requests, instead={SERVICE: pid})
        )
    no_sidecar.void.extend(strays(no_sidecar_passes))
    last, last_passes = await _counted(bench, bench.measure(after, requests))
    bench.found.figures |= figures((first, last), no_sidecar)
    bench.found.details["mesh"] = {"passes": [first_passes, no_sidecar_passes, last_passes]}


async def _counted(bench: Bench, run: Awaitable[Result]) -> tuple[Result, dict[str, int]]:
    """Wait for a run, and count the requests that pass through the sidecars during it."""
    before = await passes.count(bench.test_bench)
    result = await run
    return result, passes.between(before, await passes.count(bench.test_bench))


def strays(counted: Mapping[str, int]) -> list[str]:
    """Return the sidecars that a run without sidecars used, which make it void; empty if it used
    none."""
    return [f"{name}: {count} calls still went through" for name, count in counted.items() if count]


def figures(meshed: Sequence[Result], no_sidecar: Result) -> dict[str, float]:
    """Return the CPU of the whole bank for one pass, and the share of throughput that is lost."""
    with_mesh_ms = mean(one.cpu_ms(one.spent.bank_cpu_s) for one in meshed)
    cost_ms = with_mesh_ms - no_sidecar.cpu_ms(no_sidecar.spent.bank_cpu_s)
    per_s = mean(one.per_s for one in meshed)
    share = 1 - per_s / no_sidecar.per_s if no_sidecar.per_s else 0.0
    return {
        "mesh.hop_cpu_us": round(1000 * cost_ms / PASSES, 1),
        "mesh.share": round(share, 3),
    }
