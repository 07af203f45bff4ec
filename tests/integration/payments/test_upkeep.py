"""Upkeep of payments' tables during traffic: it blocks no statement and causes no deadlock."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from ops.waiting import scaled_s
from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.payments.rows import Lease
from services.payments.store import Store
from services.payments.transfer import Transfer
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.stores import PostgresStore

WITHIN_S = 20.0
WAITS_MS = int(scaled_s(2) * 1000)
"""How long a statement waits for a lock. Expected locks are released within this time; locks that
the test holds are not."""
LOCK = "SELECT FROM payments.interbank_transfer WHERE shard = $1 AND transfer_id = $2 FOR UPDATE"


@pytest_asyncio.fixture
async def other(postgres: PostgresStore) -> AsyncGenerator[asyncpg.Connection]:
    """A session that is not in the store's pool."""
    connection = await postgres.session("postgres")
    yield connection
    await connection.close()


async def _debited(store: Store, holder: Holder, owner: str = "test/0") -> Transfer:
    lease = Lease(owner, utc_now() + timedelta(seconds=60))
    transfer, _ = await debit(store, order_of(holder), lease)
    return transfer


async def _partitions(bank: LedgerBank) -> int:
    write = await bank.superuser("bp_write")
    count: int | None = await write.fetchval(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'payments.interbank_transfer'::regclass"
    )
    assert count is not None
    return count


async def test_partitions_are_made_without_blocking_a_long_reader_or_a_writer(
    store: Store, bank: LedgerBank, other: asyncpg.Connection
) -> None:
    holder = await bank.open_holder(100_00)
    write = await bank.superuser("bp_write")
    before = await _partitions(bank)
    async with other.transaction():
        # A long transaction that has read and written the table.
        await other.fetch("SELECT transfer_id FROM payments.interbank_transfer LIMIT 1")
        await other.execute(LOCK, *_place(await _debited(store, holder)))
        async with write.transaction():
            await write.execute(f"SET LOCAL lock_timeout = {WAITS_MS}")
            await write.execute("SELECT payments.ensure_partitions($1)", before)
            # The partitions are created and not committed; a debit does not wait for them.
            made = asyncio.gather(*(_debited(store, holder) for _ in range(3)))
            await asyncio.wait_for(made, scaled_s(WITHIN_S))
    assert await _partitions(bank) > before


async def test_a_partition_that_is_attached_is_as_the_others_are(bank: LedgerBank) -> None:
    write = await bank.superuser("bp_write")
    await write.execute("SELECT payments.ensure_partitions($1)", await _partitions(bank))
    rows: list[Any] = await write.fetch("""
        SELECT c.reloptions::text,
            (SELECT array_agg(pg_get_expr(x.indpred, x.indrelid) || x.indkey::text
                ORDER BY pg_get_expr(x.indpred, x.indrelid), x.indkey::text)
             FROM pg_index x JOIN pg_inherits i ON i.inhrelid = x.indexrelid
             WHERE x.indrelid = c.oid)::text,
            (SELECT count(*) FROM pg_index x JOIN pg_inherits i ON i.inhrelid = x.indexrelid
             WHERE x.indrelid = c.oid),
            (SELECT array_agg(conname || pg_get_constraintdef(k.oid) ORDER BY contype)
             FROM pg_constraint k WHERE k.conrelid = c.oid AND contype = 'c')::text,
            has_table_privilege('bp_judge', c.oid, 'SELECT')
        FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
        WHERE h.inhparent = 'payments.interbank_transfer'::regclass
    """)
    assert len({tuple(row) for row in rows}) == 1, rows
    assert "fillfactor=70" in rows[0][0]


async def test_one_key_of_one_customer_is_never_two_transfers_even_with_accounts_in_two_shards(
    store: Store, bank: LedgerBank
) -> None:
    holder = await bank.open_holder(100_00)
    # Customers would refuse this account, which exists only in the ledger.
    astray = new_id((shard_of(holder.customer_id) + 1) % 64)
    write = await bank.superuser("bp_write")
    await write.execute("SELECT ledger.seed_accounts($1, $2)", [astray], [100_00])
    order = order_of(holder)
    stray = replace(order, account_id=astray)
    lease = Lease("test/0", utc_now() + timedelta(seconds=60))
    _, outcome = await debit(store, order, lease)
    assert outcome.outcome == "DEBITED"
    with pytest.raises(asyncpg.CheckViolationError):
        await debit(store, stray, lease)
    assert await bank.held(astray) == (100_00, 1)


def _place(transfer: Transfer) -> tuple[int, uuid.UUID]:
    return shard_of(transfer.transfer_id), transfer.transfer_id
