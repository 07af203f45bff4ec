"""The parts that drive the bank through its edge: floor, book and interbank transfers, arrivals."""

from __future__ import annotations

import uuid

from sandbox.bench import orders
from sandbox.bench.bench import Bench
from sandbox.bench.floor_stage import floor_in_place

WIDTHS = (16, 128)
"""Connections beside the usual number."""
ARRIVALS_PER_S = 100.0
SHARE_OF_BEST = 0.7
FLOOR = "floor"


async def floor(bench: Bench) -> None:
    """The same way in, one durable debit, and nothing else."""
    await _floor(bench, FLOOR)


async def _floor(bench: Bench, name: str) -> None:
    account_ids = [uuid.UUID(caller.account_id) for caller in bench.callers]
    load = bench.scale.load(name, bench.scale.connections, 4, 15)
    async with floor_in_place(bench.stand, account_ids) as pid:
        await bench.measure(load, orders.interbank(bench.stand, bench.callers), floor_pid=pid)


async def internal(bench: Bench) -> None:
    """Book transfers."""
    connections = bench.scale.connections
    load = bench.scale.load(f"internal.c{connections}", connections, 4, 20)
    await bench.measure(load, orders.internal(bench.stand, bench.callers))


async def interbank(bench: Bench) -> None:
    """Interbank transfers on the usual number of connections; the floor, where it is measured, is
    measured behind them too, so that a machine that changes meanwhile does so for both."""
    await _interbank(bench, bench.scale.connections, 8, 40)
    if any(one.load.name == FLOOR for one in bench.found.results):
        await _floor(bench, f"{FLOOR}.after")


async def widths(bench: Bench) -> None:
    """Interbank transfers on few and on many connections."""
    for connections in WIDTHS:
        await _interbank(bench, connections, 4, 20)


async def arrivals(bench: Bench) -> None:
    """Interbank transfers that arrive whatever the answers do: latency without omission."""
    if bench.found.best_per_s() is None:
        await _interbank(bench, bench.scale.connections, 4, 12)
    best = bench.found.best_per_s() or 0.0
    requests = orders.interbank(bench.stand, bench.callers)
    for name, rate in (("open100", ARRIVALS_PER_S), ("open70", SHARE_OF_BEST * best)):
        await bench.measure(bench.scale.arrivals(name, rate, 4, 20), requests)


async def _interbank(bench: Bench, connections: int, warm_up_s: float, seconds: float) -> None:
    load = bench.scale.load(f"interbank.c{connections}", connections, warm_up_s, seconds)
    await bench.measure(load, orders.interbank(bench.stand, bench.callers))
