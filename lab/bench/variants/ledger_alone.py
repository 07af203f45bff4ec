"""Measures the SQL function of the ledger, and of a peer, alone with pgbench.

It uses many accounts and then one hot account. No other part of the bank runs, but the cluster is
the bank's: same settings, same disk. Each form in which services can call the ledger is measured.
`ledger.spread` and `ledger.hot` are the figures for the form that the services use.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.bench.bench import Bench
from lab.bench.variants import pgbench
from lab.bench.variants.scratch import scratch_database
from services.chassis.batching import DEFAULT_BATCH_LIMITS
from services.chassis.postgres import load_queries

ACCOUNTS = 10_000
BALANCE = 10_000_000_00
BATCHES_AT_ONCE = DEFAULT_BATCH_LIMITS.batches_max
BATCH = 64 // BATCHES_AT_ONCE
"""Debits of one batch: as many as a service collects when 64 callers wait only for the ledger."""
WARM_UP_S = 1.0
SECONDS = 3.0
ROUNDS = 3
"""The shapes are measured alternately, so a slow minute of the machine affects all of them."""
PEER_FILE = "BP_PGLEDGER_SQL"
"""Environment variable that names a file with pgledger's SQL."""
_QUERIES = load_queries(Path(__file__).parent / "sql" / "ledger_alone.sql")


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to call the ledger."""

    name: str
    """Part of its figures' names, such as "single.spread"."""
    script: str
    accounts: int
    clients: int
    batch: int = 1


SINGLE = (
    Shape("single.spread", "single.sql", ACCOUNTS, 16),
    # Few clients, as in the services' small pools: many waiters on one row would form a convoy.
    Shape("single.hot", "single.sql", 1, 4),
)
BATCHED = (
    Shape("batch.spread", "batch.sql", ACCOUNTS, BATCHES_AT_ONCE, BATCH),
    Shape("batch.hot", "batch.sql", 1, BATCHES_AT_ONCE, BATCH),
)
PEER = (
    Shape("pgledger.spread", "peer_spread.sql", ACCOUNTS, 16),
    Shape("pgledger.hot", "peer_hot.sql", ACCOUNTS, 4),
)


async def ledger(bench: Bench) -> None:
    """Measure the ledger, and the peer if its SQL file is given."""
    figures, found = bench.found.figures, bench.found
    async with scratch_database(bench.test_bench, "bp_bench_ledger") as database:
        batched = await _prepare(bench, database)
        shapes = (*SINGLE, *(BATCHED if batched else ()))
        posted = await _measure(bench, database, shapes)
        await _prove(bench, database, posted)
    form = "batch" if batched else "single"
    for where in ("spread", "hot"):
        figures[f"ledger.{where}.per_s"] = figures[f"ledger.{form}.{where}.per_s"]
    found.details["ledger"] = {
        "form": f"batches of {BATCH}" if batched else "single",
        "shapes": [_described(shape) for shape in shapes],
    }
    if file := bench.scale.peer or _peer_file():
        await _peer(bench, file)


def _described(shape: Shape) -> dict[str, Any]:
    return {
        "name": shape.name,
        "clients": shape.clients,
        "accounts": shape.accounts,
        "debits_a_call": shape.batch,
    }


def _peer_file() -> Path | None:
    named = os.environ.get(PEER_FILE)
    return Path(named) if named else None


async def _prepare(bench: Bench, database: str) -> bool:
    """Open the accounts. Return whether the ledger can post batches."""
    connection = await bench.test_bench.connect(database)
    try:
        await connection.execute(_QUERIES.account_id)
        await connection.fetchval(_QUERIES.accounts, ACCOUNTS, BALANCE)
        await connection.execute("VACUUM ANALYZE")
        return bool(await connection.fetchval(_QUERIES.has_batches))
    finally:
        await connection.close()


async def _measure(bench: Bench, database: str, shapes: Sequence[Shape]) -> int:
    """Run the shapes alternately, record their figures, and return the number of committed
    postings."""
    paces: dict[str, list[pgbench.Pace]] = {shape.name: [] for shape in shapes}
    posted = 0
    for number in range(1 if bench.scale.quick else ROUNDS):
        for shape in shapes:
            bench.say(f"ledger, {shape.name}, round {number + 1}")
            warm_up, pace = await _round(bench, database, shape)
            paces[shape.name].append(pace)
            posted += (warm_up.done + pace.done) * shape.batch
            if failed := warm_up.failed + pace.failed:
                bench.found.void.append(f"ledger, {shape.name}: {failed} transactions failed")
    for shape in shapes:
        bench.found.figures |= {
            f"ledger.{shape.name}.per_s": round(
                statistics.mean(pace.per_s for pace in paces[shape.name]) * shape.batch, 1
            ),
            f"ledger.{shape.name}.call_ms": round(
                statistics.mean(pace.latency_ms for pace in paces[shape.name]), 3
            ),
        }
    return posted


async def _round(bench: Bench, database: str, shape: Shape) -> tuple[pgbench.Pace, pgbench.Pace]:
    """Run one shape: the warm-up, then the measured time."""

    async def run(seconds: float) -> pgbench.Pace:
        return await pgbench.run(
            bench.test_bench,
            database,
            shape.script,
            clients=shape.clients,
            seconds=seconds,
            settings={"accounts": shape.accounts, "batch": shape.batch},
        )

    return await run(WARM_UP_S), await run(bench.scale.seconds or SECONDS)


async def _prove(bench: Bench, database: str, posted: int) -> None:
    """Check that the books are correct and hold every debit that pgbench counted."""
    connection = await bench.test_bench.connect(database)
    try:
        row: Any = await connection.fetchrow(_QUERIES.posted)
    finally:
        await connection.close()
    if row["problems"] or row["debits"] != posted:
        bench.found.void.append(
            f"ledger alone: pgbench made {posted} debits, the books have {row['debits']} and "
            f"{row['problems']} problems"
        )


async def _peer(bench: Bench, file: Path) -> None:
    """Measure pgledger's SQL in a separate database."""
    async with scratch_database(bench.test_bench, "bp_bench_pgledger", ledger=False) as database:
        await pgbench.load_file(bench.test_bench, database, file)
        connection = await bench.test_bench.connect(database)
        try:
            await connection.execute(
                "SELECT count(*) FROM generate_series(1, $1::integer) n,"
                " LATERAL pgledger_create_account('bench ' || n, 'USD')",
                ACCOUNTS,
            )
            await connection.execute("CREATE SCHEMA bench")
            await connection.execute(_QUERIES.peer_accounts)
            await connection.execute("ALTER TABLE bench.account ADD PRIMARY KEY (n)")
            await connection.execute("VACUUM ANALYZE")
        finally:
            await connection.close()
        await _measure(bench, database, PEER)
