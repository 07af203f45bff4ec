"""Entries are written once, balanced, in their month; the check finds every violation."""

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from services.kernel.ids import new_id, shard_of
from services.ledger.refusals import AppendOnly, Unbalanced, refusals
from tests.integration.ledger.books import Books

INSERT = (
    "INSERT INTO {table} (shard, transaction_id, line, internal_code, currency, amount, kind,"
    " reference) VALUES (7, $1, 1, 'FEES', 'USD', $2, 'TEST', $1)"
)


def _partition_of_now() -> str:
    return f"ledger.entry_{datetime.now(UTC):%Y_%m}"


@pytest.mark.parametrize("change", ["UPDATE {} SET amount = 1", "DELETE FROM {}", "TRUNCATE {}"])
async def test_no_role_can_change_or_delete_entries(
    books: Books, superuser_pool: asyncpg.Pool, change: str
) -> None:
    await books.account(100)
    for table in ("ledger.entry", _partition_of_now()):
        with pytest.raises(AppendOnly), refusals():
            await superuser_pool.execute(change.format(table))


async def test_an_unbalanced_insert_is_refused_for_every_role(
    superuser_pool: asyncpg.Pool,
) -> None:
    for table in ("ledger.entry", _partition_of_now()):
        with pytest.raises(Unbalanced), refusals():
            await superuser_pool.execute(INSERT.format(table=table), new_id(7), 5)


async def test_a_negative_balance_is_refused_by_the_table_itself(
    books: Books, superuser_pool: asyncpg.Pool
) -> None:
    account = await books.account(100)
    with pytest.raises(asyncpg.CheckViolationError):
        await superuser_pool.execute(
            "UPDATE ledger.account SET balance = -1 WHERE account_id = $1", account
        )


async def test_partitions_stand_months_ahead_and_are_made_once(
    superuser_pool: asyncpg.Pool,
) -> None:
    for schema, table in (("ledger", "entry"), ("outbox", "published")):
        ensure = f"SELECT {schema}.ensure_partitions(3, now() + interval '{{}} months')"
        assert await superuser_pool.fetchval(ensure.format(0)) == 0
        made = await superuser_pool.fetchval(ensure.format(2))
        assert made in (0, 2)
        assert await superuser_pool.fetchval(ensure.format(2)) == 0
        count = await superuser_pool.fetchval(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = $1::text::regclass",
            f"{schema}.{table}",
        )
        assert count >= 7


async def test_partitions_made_later_refuse_changes_too(superuser_pool: asyncpg.Pool) -> None:
    await superuser_pool.execute("SELECT ledger.ensure_partitions(3, now() + interval '2 months')")
    partitions = await superuser_pool.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'ledger.entry'::regclass"
    )
    for partition in partitions:
        with pytest.raises(AppendOnly), refusals():
            await superuser_pool.execute(f"DELETE FROM {partition['name']}")


async def test_entries_lie_in_the_month_of_their_transaction(
    books: Books, superuser_pool: asyncpg.Pool
) -> None:
    account = await books.account(100)
    where = await superuser_pool.fetchval(
        "SELECT tableoid::regclass::text FROM ledger.entry WHERE account_id = $1", account
    )
    assert where == _partition_of_now()


async def test_sql_and_python_agree_on_the_shard_of_an_id(superuser_pool: asyncpg.Pool) -> None:
    ids = [new_id() for _ in range(500)] + [new_id(shard) for shard in range(64)]
    rows = await superuser_pool.fetch(
        "SELECT id, ledger.shard_of(id) AS shard FROM unnest($1::uuid[]) u (id)", ids
    )
    assert all(row["shard"] == shard_of(row["id"]) for row in rows)
    drawn = await superuser_pool.fetch(
        "SELECT s AS shard, ledger.new_id(s) AS id FROM generate_series(0, 63) s"
    )
    assert all(shard_of(UUID(str(row["id"]))) == row["shard"] for row in drawn)
    assert all(UUID(str(row["id"])).version == 7 for row in drawn)


CORRUPTIONS = {
    "BALANCE_DIFFERS": "UPDATE ledger.account SET balance = balance + 1 WHERE account_id = $1",
    "POSITION_DIFFERS": "UPDATE ledger.account SET position = position + 1 WHERE account_id = $1",
    "TRANSACTION_NOT_ZERO": "UPDATE ledger.entry SET amount = amount + 1 WHERE account_id = $1",
    "CURRENCY_MIXED": "UPDATE ledger.account SET currency = 'EUR' WHERE account_id = $1",
    "LAST_BALANCE_DIFFERS": "UPDATE ledger.entry SET balance_after = 1 WHERE account_id = $1",
    "BOOKS_NOT_ZERO": "DELETE FROM ledger.entry WHERE account_id = $1",
    "INTERNAL_DIFFERS": "DELETE FROM ledger.internal_pending"
    " WHERE shard = ledger.shard_of($1) AND code = 'FUNDING'",
    "BALANCE_NEGATIVE": "UPDATE ledger.account SET balance = -1 WHERE account_id = $1",
}


@pytest.mark.parametrize("problem", CORRUPTIONS)
async def test_the_check_finds_the_changes_of_an_intruder(
    books: Books, superuser_pool: asyncpg.Pool, problem: str
) -> None:
    account = await books.account(100)
    async with superuser_pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "ALTER TABLE ledger.account DROP CONSTRAINT account_never_negative"
        )
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(CORRUPTIONS[problem], account)
        found = await connection.fetch("SELECT problem FROM ledger.check()")
        await transaction.rollback()
    assert problem in {row["problem"] for row in found}
    await books.assert_right()
