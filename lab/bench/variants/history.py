"""Old transfers, loaded into the Write DB by set-based SQL.

The rows equal those that the bank would have written: entries, transfers, idempotency keys and
published events. All transfers are cancelled and refunded, and their events are older than Kafka's
retention, so the judge finds no difference. Audit records and notifications are not loaded. No
other transfer may run during the load.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from lab.bench.test_bench import TestBench
from sandbox.seed import people, planting
from services.chassis.postgres import load_queries

BATCH_ROWS = 20_000
_TABLES = (
    "ledger.account, ledger.entry, payments.interbank_transfer, payments.idempotency_key, "
    "outbox.published"
)
_SQL = load_queries(Path(__file__).parent / "sql" / "history.sql")


async def transfers_there(test_bench: TestBench) -> int:
    """Return the number of interbank transfers in the Write DB."""
    connection = await test_bench.connect("bp_write")
    try:
        return int(await connection.fetchval(_SQL.transfers_count) or 0)
    finally:
        await connection.close()


async def books_problems(test_bench: TestBench) -> int:
    """Return the number of problems that the ledger's check finds."""
    connection = await test_bench.connect("bp_write")
    try:
        return int(await connection.fetchval(_SQL.books_problems, timeout=600) or 0)
    finally:
        await connection.close()


async def load(
    test_bench: TestBench, transfers: int, holders: int, say: Callable[[str], None] = lambda _: None
) -> None:
    """Load `transfers` transfers, spread evenly over the first `holders` bench customers."""
    await planting.load(test_bench.connect, holders)
    names = [person.user_name for person in people.load_people(holders)]
    accounts = [people.account_id(name) for name in names]
    customers = [people.customer_id(name) for name in names]
    connection = await test_bench.connect("bp_write")
    try:
        # Commits need no flush, because a lost history is loaded again. Triggers check each row, so
        # they are off: these rows are correct by construction and sum to zero.
        await connection.execute(
            "SET synchronous_commit = off; SET statement_timeout = 0;"
            "SET session_replication_role = replica; SET work_mem = '64MB'"
        )
        await connection.execute(_SQL.prepare)
        await connection.execute(_SQL.holders, accounts, customers)
        await _batches(connection, transfers, say)
        moved = await connection.fetch(_SQL.positions, transfers)
        await connection.execute(f"VACUUM (ANALYZE) {_TABLES}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    await _project(test_bench, moved)


async def _batches(
    connection: asyncpg.Connection, transfers: int, say: Callable[[str], None]
) -> None:
    name = f"history-{secrets.token_hex(4)}-"
    for first in range(0, transfers, BATCH_ROWS):
        last = min(first + BATCH_ROWS, transfers) - 1
        async with connection.transaction():
            await connection.execute("TRUNCATE batch")
            await connection.execute(_SQL.batch, first, last, transfers, name)
            await connection.execute(_SQL.entries)
            await connection.execute(_SQL.transfers, name)
            await connection.execute(_SQL.keys, name)
            await connection.execute(_SQL.published)
        say(f"history: {last + 1:,} of {transfers:,} transfers")


async def _project(test_bench: TestBench, moved: list[Any]) -> None:
    connection = await test_bench.connect("bp_customers")
    try:
        await connection.execute(
            _SQL.projected,
            [row["account_id"] for row in moved],
            [row["position"] for row in moved],
        )
        await connection.execute("VACUUM (ANALYZE) customers.balance, customers.account")
    finally:
        await connection.close()
