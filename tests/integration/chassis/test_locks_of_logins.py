"""A login cannot stop another login's work with an advisory lock, which any login may take."""

import asyncio

import asyncpg
import pytest

from ops.waiting import until
from tests.rigs.stores import PostgresStore

LOCK_TIMEOUT = "SET lock_timeout = '500ms'"

WORK = {
    "the ledger's months": (
        "bp_transfers",
        "bp_write",
        "hashtextextended('chassis.ensure_months', 'ledger.entry'::regclass::bigint)",
        "SELECT ledger.ensure_partitions(0, now() + interval '5 years')",
    ),
    "the roll-up": (
        "bp_relay",
        "bp_write",
        "hashtextextended('ledger.roll_up', 0)",
        "SELECT ledger.roll_up(10)",
    ),
    "the months of notifications": (
        "bp_notifications",
        "bp_notifications",
        "hashtextextended('chassis.ensure_months', 'notif.delivery'::regclass::bigint)",
        "SELECT notif.ensure_partitions(0, now() + interval '5 years')",
    ),
    "the relay": (
        "bp_relay",
        "bp_write",
        "hashtextextended('outbox.relay', 0)",
        "SELECT 1 / outbox.try_lead()::integer",
    ),
    "a chain": ("bp_audit", "bp_audit", "20310, 3", "SELECT audit.lock_chains(ARRAY[3])"),
    "the signing": (
        "bp_audit",
        "bp_audit",
        "20311, 0",
        "SELECT 1 / audit.try_lock_signing()::integer",
    ),
}


@pytest.mark.parametrize("name", WORK)
async def test_an_advisory_lock_of_another_login_stops_no_work(
    postgres: PostgresStore, name: str
) -> None:
    login, database, key, statement = WORK[name]
    other = await postgres.session("bp_judge", database)
    service = await postgres.session(login, database)
    try:
        await other.execute(f"SELECT pg_advisory_lock({key})")
        await service.execute(LOCK_TIMEOUT)
        transaction = service.transaction()
        await transaction.start()
        await service.execute(statement)
        await transaction.rollback()
    finally:
        await service.close()
        await other.close()


async def test_two_calls_at_once_make_each_month_once(postgres: PostgresStore) -> None:
    far = "now() + interval '7 years'"
    first, second = await postgres.session("postgres"), await postgres.session("postgres")
    looker = await postgres.session("postgres")
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid = $1)"
    try:
        async with first.transaction():
            made = await first.fetchval(f"SELECT transfers.ensure_partitions(1, {far})")
            pid = await second.fetchval("SELECT pg_backend_pid()")
            again = asyncio.create_task(
                second.fetchval(f"SELECT transfers.ensure_partitions(1, {far})")
            )
            await until(lambda: looker.fetchval(waiting, pid), 20, "the second call waits")
        assert (made, await again) == (2 * 3, 0)  # three months of each of the two tables
    finally:
        for one in (first, second, looker):
            await one.close()


@pytest.mark.parametrize(
    ("login", "database", "statement"),
    [
        (login, database, statement)
        for login, database in (("bp_judge", "bp_audit"), ("bp_audit", "bp_audit"))
        for statement in (
            "SELECT FROM audit.chain_lock FOR UPDATE",
            "SELECT FROM audit.signing_lock FOR UPDATE",
            "LOCK TABLE audit.record IN SHARE UPDATE EXCLUSIVE MODE",
        )
    ]
    + [
        (login, "bp_write", statement)
        for login in ("bp_judge", "bp_payments", "bp_transfers", "bp_reviewer")
        for statement in (
            "SELECT FROM outbox.leader FOR UPDATE",
            "SELECT outbox.try_lead()",
            "LOCK TABLE ledger.entry IN SHARE UPDATE EXCLUSIVE MODE",
            "LOCK TABLE ledger.internal_checkpoint IN SHARE UPDATE EXCLUSIVE MODE",
            "LOCK TABLE payments.interbank_transfer IN SHARE UPDATE EXCLUSIVE MODE",
        )
    ],
)
async def test_no_login_takes_the_locks_that_replace_advisory_locks(
    postgres: PostgresStore, login: str, database: str, statement: str
) -> None:
    connection = await postgres.session(login, database)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute(statement)
    finally:
        await connection.close()
