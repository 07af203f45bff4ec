"""What the mesh costs: the interbank run once more with no sidecar between the bank's services.

Left out are three passes through a sidecar and two mutual TLS connections for each transfer: into
payments (its sidecar's listener), out of payments to customers and into customers (both sidecars).
Still there: the edge itself, and payments' sidecar on the way out to the partners, which is the
only TLS client that payments has.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from sandbox.bench import orders
from sandbox.bench.bench import Bench
from sandbox.bench.edge_direct import edge_straight_to
from sandbox.bench.runs import Result
from sandbox.bench.stand_in import in_place_of
from sandbox.bench.straight import RUN

SERVICE = "payments"
PASSES = 3
"""Passes through a sidecar that are left out for each transfer."""
UNUSED = "customers-sidecar"
UNUSED_CPU_MS_MAX = 0.05
"""More than this of a sidecar that should have no calls, and the run did not go straight."""


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
    meshed = [await bench.measure(before, requests)]
    run = str(bench.stand.stack.home.run)
    async with (
        in_place_of(bench.stand, SERVICE, "sandbox.bench.straight", {RUN: run}) as pid,
        edge_straight_to(bench.stand, SERVICE),
    ):
        straight = await bench.measure(beside, requests, instead={SERVICE: pid})
    used = straight.cpu_ms(straight.spent.cpu_s.get(UNUSED, 0.0))
    if used > UNUSED_CPU_MS_MAX:
        straight.void.append(f"{UNUSED} used {used:.2f} ms a transfer: calls still went through it")
    meshed.append(await bench.measure(after, requests))
    bench.found.figures |= figures(meshed, straight)


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
