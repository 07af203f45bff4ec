"""The ledger function alone under pgbench, over many accounts and on a hot one, beside a peer's.

Nothing else of the bank takes part, but the cluster is the bank's: same settings, same disk. Each
form in which services call the ledger is measured; the figures are those of the form they use.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.bench import pgbench
from sandbox.bench.bench import Bench
from sandbox.bench.scratch import scratch_database
from services.chassis.groups import DEFAULT_SIZES
from services.chassis.postgres import load_queries

ACCOUNTS = 10_000
BALANCE = 10_000_000_00
GROUPS_AT_ONCE = DEFAULT_SIZES.groups_max
GROUP = 64 // GROUPS_AT_ONCE
"""Debits of one group: what a service gathers when 64 callers wait for the ledger alone."""
WARM_UP_S = 1.0
SECONDS = 3.0
ROUNDS = 3
"""The shapes are measured in turn, so that a slow minute of the machine is every shape's."""
PEER_FILE = "BP_PGLEDGER_SQL"
"""Environment variable that names a file with pgledger's SQL."""
_QUERIES = load_queries(Path(__file__).parent / "sql" / "ledger_alone.sql")


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to call."""

    name: str
    """What its figures are called by: "single.spread"."""
    script: str
    accounts: int
    clients: int
    group: int = 1


SINGLE = (
    Shape("single.spread", "single.sql", ACCOUNTS, 16),
    # Few: on one row many waiters form a convoy, and services have small pools for that reason.
    Shape("single.hot", "single.sql", 1, 4),
)
GROUPED = (
    Shape("group.spread", "group.sql", ACCOUNTS, GROUPS_AT_ONCE, GROUP),
    Shape("group.hot", "group.sql", 1, GROUPS_AT_ONCE, GROUP),
)
PEER = (
    Shape("pgledger.spread", "peer_spread.sql", ACCOUNTS, 16),
    Shape("pgledger.hot", "peer_hot.sql", ACCOUNTS, 4),
)


async def ledger(bench: Bench) -> None:
    """Measure the ledger, and the peer when a file is at hand."""
    figures, found = bench.found.figures, bench.found
    async with scratch_database(bench.stand, "bp_bench_ledger") as database:
        grouped = await _prepare(bench, database)
        shapes = (*SINGLE, *(GROUPED if grouped else ()))
        posted = await _measure(bench, database, shapes)
        await _prove(bench, database, posted)
    form = "group" if grouped else "single"
    for where in ("spread", "hot"):
        figures[f"ledger.{where}.per_s"] = figures[f"ledger.{form}.{where}.per_s"]
    found.details["ledger"] = {
        "form": f"groups of {GROUP}" if grouped else "single",
        "shapes": [_told(shape) for shape in shapes],
    }
    if file := bench.scale.peer or _peer_file():
        await _peer(bench, file)


def _told(shape: Shape) -> dict[str, Any]:
    return {
        "name": shape.name,
        "clients": shape.clients,
        "accounts": shape.accounts,
        "debits_a_call": shape.group,
    }


def _peer_file() -> Path | None:
    named = os.environ.get(PEER_FILE)
    return Path(named) if named else None


async def _prepare(bench: Bench, database: str) -> bool:
    """Open the accounts; say whether the ledger posts groups."""
    connection = await bench.stand.connect(database)
    try:
        await connection.execute(_QUERIES.account_id)
        await connection.fetchval(_QUERIES.accounts, ACCOUNTS, BALANCE)
        await connection.execute("VACUUM ANALYZE")
        return bool(await connection.fetchval(_QUERIES.has_groups))
    finally:
        await connection.close()


async def _measure(bench: Bench, database: str, shapes: Sequence[Shape]) -> int:
    """Run shapes in turn, keep their figures, return how many postings were committed."""
    paces: dict[str, list[pgbench.Pace]] = {shape.name: [] for shape in shapes}
    posted = 0
    for number in range(1 if bench.scale.quick else ROUNDS):
        for shape in shapes:
            bench.say(f"ledger, {shape.name}, round {number + 1}")
            warm_up, pace = await _round(bench, database, shape)
            paces[shape.name].append(pace)
            posted += (warm_up.done + pace.done) * shape.group
            if failed := warm_up.failed + pace.failed:
                bench.found.void.append(f"ledger, {shape.name}: {failed} transactions failed")
    for shape in shapes:
        bench.found.figures |= {
            f"ledger.{shape.name}.per_s": round(
                statistics.mean(pace.per_s for pace in paces[shape.name]) * shape.group, 1
            ),
            f"ledger.{shape.name}.call_ms": round(
                statistics.mean(pace.latency_ms for pace in paces[shape.name]), 3
            ),
        }
    return posted


async def _round(bench: Bench, database: str, shape: Shape) -> tuple[pgbench.Pace, pgbench.Pace]:
    """Run one shape: warm-up, then the measured time."""

    async def run(seconds: float) -> pgbench.Pace:
        return await pgbench.run(
            bench.stand,
            database,
            shape.script,
            clients=shape.clients,
            seconds=seconds,
            settings={"accounts": shape.accounts, "group": shape.group},
        )

    return await run(WARM_UP_S), await run(bench.scale.seconds or SECONDS)


async def _prove(bench: Bench, database: str, posted: int) -> None:
    """The books hold every debit that pgbench counted, and are right."""
    connection = await bench.stand.connect(database)
    try:
        row: Any = await connection.fetchrow(_QUERIES.posted)
    finally:
        await connection.close()
    if row["problems"] or row["debits"] != posted:
        bench.found.void.append(
            f"ledger alone: {posted} debits were made, {row['debits']} are in the books, which "
            f"have {row['problems']} problems"
        )


async def _peer(bench: Bench, file: Path) -> None:
    """The same with pgledger's SQL, in a database of its own."""
    async with scratch_database(bench.stand, "bp_bench_pgledger", ledger=False) as database:
        await pgbench.load_file(bench.stand, database, file)
        connection = await bench.stand.connect(database)
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
