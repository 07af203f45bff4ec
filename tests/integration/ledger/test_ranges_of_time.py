"""A range of time of a statement becomes a range of positions and reads few partitions."""

import uuid
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio

from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

YEARS = 9
PARTITIONS_MAX = 5
"""The months around the given time, and the two before the last entry."""

ENTRY = """
INSERT INTO ledger.entry (shard, transaction_id, line, account_id, currency, amount,
    balance_after, position, kind, reference, post_time)
VALUES ($1, $2, 1, $3, 'USD', 1, $4, $4, 'TEST', $2, $5)
"""
SCANS = """
SELECT t.relname, t.idx_scan FROM pg_stat_xact_user_tables t
JOIN pg_inherits i ON i.inhrelid = t.relid AND i.inhparent = 'ledger.entry'::regclass
WHERE t.idx_scan > 0
"""


def _id_of(instant: datetime, shard: int) -> uuid.UUID:
    """Return an id like the ids of a given time."""
    milliseconds = int(instant.timestamp() * 1000)
    return uuid.UUID(bytes=milliseconds.to_bytes(6, "big") + new_id(shard).bytes[6:])


class _OldAccount:
    """An account that was opened years ago, in a transaction that is rolled back."""

    def __init__(self, write: asyncpg.Connection, account_id: uuid.UUID) -> None:
        self.write, self.account_id = write, account_id
        self.posted: list[datetime] = []

    async def open(self) -> None:
        """Create the months, and backdate the account."""
        now = utc_now()
        for years in (YEARS, YEARS - 5):
            since = now - timedelta(days=365 * years)
            await self.write.execute("SELECT ledger.ensure_partitions(60, $1)", since)
        await self.write.execute("SET LOCAL session_replication_role = replica")
        await self.write.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await self.write.execute(
            "UPDATE ledger.account SET open_time = $2, position = 0 WHERE account_id = $1",
            self.account_id,
            now - timedelta(days=365 * YEARS),
        )

    async def post(self, instant: datetime, drawn: timedelta = timedelta(0)) -> None:
        """Add an entry that was posted at a given time; its id is older by `drawn`."""
        self.posted.append(instant)
        home, position = shard_of(self.account_id), len(self.posted)
        transaction_id = _id_of(instant - drawn, home)
        await self.write.execute(ENTRY, home, transaction_id, self.account_id, position, instant)
        await self.write.execute(
            "UPDATE ledger.account SET position = $2 WHERE account_id = $1",
            self.account_id,
            position,
        )

    async def check(self, moment: datetime) -> None:
        """Compare the position at a given time with a simple count."""
        sql = "SELECT ledger.position_before($1, $2)"
        found = await self.write.fetchval(sql, self.account_id, moment)
        assert found == sum(posted < moment for posted in self.posted), moment


@pytest_asyncio.fixture
async def account(postgres: PostgresStore) -> AsyncGenerator[_OldAccount]:
    bank = LedgerBank(postgres)
    holder = await bank.open_holder(0)
    write = await postgres.session("postgres", "bp_write")
    transaction = write.transaction()
    await transaction.start()
    account = _OldAccount(write, holder.account_id)
    await account.open()
    yield account
    await transaction.rollback()
    await write.close()
    await bank.close()


def _day(days_ago: float) -> datetime:
    return utc_now() - timedelta(days=days_ago)


async def test_each_moment_of_a_long_life_has_its_position(account: _OldAccount) -> None:
    for days in (3000, 2999.5, 1500, 900, 899, 898, 400, 33, 2, 1, 0.5, 0):
        await account.post(_day(days))
    edges = [one + timedelta(seconds=s) for one in account.posted for s in (-1, 0, 1)]
    for moment in (*edges, _day(4000), _day(2000), _day(60), _day(-30), _day(-4000)):
        await account.check(moment)


async def test_entries_around_the_end_of_a_month_may_have_ids_of_the_other_month(
    account: _OldAccount,
) -> None:
    end = datetime(utc_now().year - 2, 3, 1, tzinfo=UTC)
    late, soon = timedelta(hours=1), timedelta(0)
    for minutes, drawn in ((-90, soon), (-5, soon), (5, late), (6, soon), (7, late), (50, late)):
        await account.post(end + timedelta(minutes=minutes), drawn)
    for minutes in (-91, -90, -89, -4, 0, 5, 5.5, 6.5, 7.5, 49, 51, 60 * 24 * 40):
        await account.check(end + timedelta(minutes=minutes))


@pytest.mark.parametrize("days_ago", [2900, 1000, 450, 0])
async def test_the_search_reads_few_partitions_of_an_old_account(
    account: _OldAccount, days_ago: float
) -> None:
    """Previously, each of about twenty steps read every month of the account's life."""
    for days in range(3000, -1, -10):
        await account.post(_day(days))
    before = {*map(tuple, await account.write.fetch(SCANS))}
    await account.check(_day(days_ago))
    scanned = {*map(tuple, await account.write.fetch(SCANS))} - before
    assert 0 < len(scanned) <= PARTITIONS_MAX, scanned
