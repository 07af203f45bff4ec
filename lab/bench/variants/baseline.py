"""The baseline: the same gateway, sidecars and gRPC server, which make only one durable debit.

`baseline_service` runs in place of payments. Comparing a transfer with the baseline shows the cost
of the saga, the events and the partners.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from lab.bench.bench import Bench
from lab.bench.load import orders
from lab.bench.test_bench import TestBench
from lab.bench.variants.baseline_service import DATABASE
from lab.bench.variants.replacement import in_place_of
from lab.bench.variants.scratch import scratch_database

NAME = "baseline"
SERVICE = "payments"
MODULE = "lab.bench.variants.baseline_service"
BALANCE = 1_000_000_00


async def baseline(bench: Bench) -> None:
    """Measure the baseline before the transfers."""
    await _measure(bench, NAME)


async def baseline_again(bench: Bench) -> None:
    """Measure the baseline once more, after the transfers, if it was measured before them.

    Transfers are compared with the mean of both, so a change of the machine's speed affects both
    sides of the comparison.
    """
    if any(one.load.name == NAME for one in bench.found.results):
        await _measure(bench, f"{NAME}.after")


async def _measure(bench: Bench, name: str) -> None:
    account_ids = [uuid.UUID(caller.account_id) for caller in bench.callers]
    load = bench.scale.load(name, bench.scale.connections, 4, 15)
    requests = orders.interbank(bench.test_bench, bench.callers)
    async with baseline_in_place(bench.test_bench, account_ids) as pid:
        await bench.measure(load, requests, baseline_pid=pid)


@asynccontextmanager
async def baseline_in_place(
    test_bench: TestBench, account_ids: Sequence[uuid.UUID]
) -> AsyncGenerator[int]:
    """Run the baseline in place of payments and yield its pid; start payments again at the end."""
    async with scratch_database(test_bench, DATABASE):
        await _open_accounts(test_bench, account_ids)
        async with in_place_of(test_bench, SERVICE, MODULE) as pid:
            yield pid


async def _open_accounts(test_bench: TestBench, account_ids: Sequence[uuid.UUID]) -> None:
    connection = await test_bench.connect(DATABASE)
    try:
        amounts = [BALANCE] * len(account_ids)
        await connection.execute(
            "SELECT ledger.seed_accounts($1::uuid[], $2::bigint[])", list(account_ids), amounts
        )
        # The baseline has no separate functions, so here its login posts directly.
        await connection.execute(
            "GRANT EXECUTE ON FUNCTION ledger.debit_to_internal(uuid, text, uuid, uuid, text,"
            " bigint, text) TO bp_payments"
        )
    finally:
        await connection.close()
