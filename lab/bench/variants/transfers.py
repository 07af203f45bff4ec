"""The parts that send transfers through the gateway: book, interbank, interbank at a fixed rate."""

from __future__ import annotations

from lab.bench.bench import Bench
from lab.bench.load import orders
from lab.bench.variants.baseline import baseline_again

WIDTHS = (16, 128)
"""Numbers of connections to measure in addition to the usual one."""
ARRIVALS_PER_S = 100.0
SHARE_OF_BEST = 0.7


async def book(bench: Bench) -> None:
    """Measure book transfers."""
    connections = bench.scale.connections
    load = bench.scale.load(f"book.c{connections}", connections, 4, 20)
    await bench.measure(load, orders.book(bench.test_bench, bench.callers))


async def interbank(bench: Bench) -> None:
    """Measure interbank transfers on the usual number of connections, then the baseline again."""
    await _interbank(bench, bench.scale.connections, 8, 40)
    await baseline_again(bench)


async def widths(bench: Bench) -> None:
    """Measure interbank transfers on few and on many connections."""
    for connections in WIDTHS:
        await _interbank(bench, connections, 4, 20)


async def arrivals(bench: Bench) -> None:
    """Measure interbank transfers that arrive at a fixed rate, independent of the answers.

    A slow answer delays no later arrival, so the latency includes the time in the queue.
    """
    if bench.found.best_per_s() is None:
        await _interbank(bench, bench.scale.connections, 4, 12)
    best = bench.found.best_per_s() or 0.0
    requests = orders.interbank(bench.test_bench, bench.callers)
    for name, rate in (("open100", ARRIVALS_PER_S), ("open70", SHARE_OF_BEST * best)):
        await bench.measure(bench.scale.arrivals(name, rate, 4, 20), requests)


async def _interbank(bench: Bench, connections: int, warm_up_s: float, seconds: float) -> None:
    load = bench.scale.load(f"interbank.c{connections}", connections, warm_up_s, seconds)
    await bench.measure(load, orders.interbank(bench.test_bench, bench.callers))
