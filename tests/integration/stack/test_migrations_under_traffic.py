"""The processes of the previous version keep paying while their database is migrated.

The statements here are copied from the previous version; LAST has its last migrations.
"""

import asyncio
import itertools
import shutil
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from ops.provision import migrations
from ops.provision.roster import MIGRATIONS, WRITE_DATABASE
from ops.waiting import until
from sandbox.stack.supervisor.launch import run_program
from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from tests.rigs.stores import PostgresStore

LAST = {
    "chassis": "0001",
    "ledger": "0009",
    "relay": "0005",
    "payments": "0016",
    "transfers": "0004",
}
"""The last migration of each service in the previous version."""
OVERTAKES = ("payments 0029", "payments 0031", "transfers 0011")
"""Frozen migrations that remove a right, a function or a table that running calls use. Such a call
fails when the migration commits, and has changed nothing. The check `locks` refuses new ones."""
DATABASE = "bp_previous"
TRANSFERS = 200_000
PLANT = """
INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
    currency, beneficiary_name, routing_number, account_number, account_type, memo, fraud_review,
    state, trace_number, idempotency_key, accepted_response, correlation_id, traceparent,
    create_time, update_time, lease_owner, lease_until)
SELECT ledger.shard_of($1), ledger.new_id(ledger.shard_of($1)), $2, $1, 1, 'USD', 'Bo Rivera',
    '021000021', '123456', 'CHECKING', 'rent', n % 1000 = 0, 'COMPLETED', lpad(n::text, 15, '0'),
    'planted-' || n, '\\x00', '', '', now(), now(), '', now()
FROM generate_series(1, $3::integer) n
"""
DEBIT_EACH = """
SELECT transfer_id, outcome, existing_transfer_id, refusal
FROM payments.debit_each($1::payments.debit_order[])
"""
DEBIT = """
SELECT $1 AS transfer_id, outcome, existing_transfer_id
FROM payments.debit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
    $18, $19, $20, $21)
"""
ADVANCE = """
SELECT advanced, accepted_response
FROM payments.advance($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""
READ = """
SELECT transfer_id, customer_id, account_id, amount, state, version, accepted_response
FROM payments.interbank_transfer
WHERE shard = $1 AND transfer_id = $2
"""
POST_BOOK_TRANSFERS = """
SELECT transfer_id, verdict, response, refusal
FROM transfers.post_book_transfers($1::transfers.request[])
"""
POST_BOOK_TRANSFER = """
SELECT verdict, response
FROM transfers.post_book_transfer($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
"""


LONGEST = """
SELECT max(max_exec_time) FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND userid IN ('bp_payments'::regrole, 'bp_transfers'::regrole)
"""
Migrate = Callable[[], Coroutine[object, object, None]]


@dataclass
class Traffic:
    """Customers who pay without a pause."""

    payments: asyncpg.Pool
    transfers: asyncpg.Pool
    accounts: list[uuid.UUID]
    stopped: bool = False
    done: int = 0
    failed: list[str] = field(default_factory=list[str])
    overtaken: list[str] = field(default_factory=list[str])
    """The errors of calls that ran while OVERTAKES committed; each call was repeated."""

    async def pay(self, number: int) -> None:
        """Make interbank and book transfers alternately until the end."""
        account_id = self.accounts[number]
        other = self.accounts[number - 1]
        for turn in itertools.count():
            if self.stopped:
                return
            try:
                await (self._interbank(account_id) if turn % 2 else self._book(account_id, other))
            except (asyncpg.PostgresError, TimeoutError) as error:
                self.failed.append(repr(error))
            self.done += 1

    async def _interbank(self, account_id: uuid.UUID) -> None:
        transfer_id, now = new_id(shard_of(account_id)), utc_now()
        order = (
            *(transfer_id, account_id, account_id, 1_00, "USD", "Bo Rivera", "021000021"),
            *("123456", "CHECKING", "rent", False, transfer_id.hex, b"f" * 32, "request-1", ""),
            *(now, "previous/0", now + timedelta(seconds=45)),
            *(new_id(shard_of(account_id)), new_id(), b"event"),
        )
        debited = await self._batched(self.payments, DEBIT_EACH, DEBIT, order)
        assert debited["outcome"] == "DEBITED", debited
        # Half of the transfers fail: their step also frees the key, which a debit takes first.
        fails = self.done % 2 == 0
        step = (
            *(transfer_id, 1, "FAILED" if fails else "SUBMITTED", None, None, None, utc_now(), now),
            *("REFUND_FROM_CLEARING" if fails else None, new_id(shard_of(account_id))),
            *(new_id(), "bp.payments.v1.TransferAdvanced", b"event", fails),
            *(None if fails else b"answer", None),
        )
        advanced = await self._call(self.payments, ADVANCE, *step)
        assert advanced["advanced"], advanced
        read = await self.payments.fetchrow(READ, shard_of(transfer_id), transfer_id)
        assert read["version"] == 2, read

    async def _book(self, account_id: uuid.UUID, other: uuid.UUID) -> None:
        transfer_id = new_id(shard_of(account_id))
        request = (
            *(account_id, transfer_id.hex, b"f" * 32, transfer_id, account_id, other, other),
            *("USD", 1, "lunch", utc_now(), b"answer", new_id(), b"event", None),
        )
        posted = await self._batched(
            self.transfers, POST_BOOK_TRANSFERS, POST_BOOK_TRANSFER, request
        )
        assert posted["verdict"] == "POSTED", posted

    async def _batched(
        self, pool: asyncpg.Pool, together: str, alone: str, arguments: tuple[object, ...]
    ) -> asyncpg.Record:
        """Run an order as a batch of one, then alone if the batch fails, as the services do."""
        try:
            return await pool.fetchrow(together, [arguments])
        except asyncpg.PostgresError:
            return await self._call(pool, alone, *arguments)

    async def _call(self, pool: asyncpg.Pool, sql: str, *arguments: object) -> asyncpg.Record:
        """Run a statement; repeat it whenever one of OVERTAKES removed something that it uses."""
        for _ in OVERTAKES:
            try:
                return await pool.fetchrow(sql, *arguments)
            except (asyncpg.InternalServerError, asyncpg.InsufficientPrivilegeError) as error:
                self.overtaken.append(repr(error))
        return await pool.fetchrow(sql, *arguments)


@pytest_asyncio.fixture
async def previous(
    postgres: PostgresStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[Migrate]:
    """A database of the previous version; the value migrates it to this version."""

    async def migrate() -> None:
        await migrations.migrate_database(
            postgres.part.server, tmp_path, run_program, DATABASE, MIGRATIONS[WRITE_DATABASE]
        )

    for service, last in LAST.items():
        folder = tmp_path / service / "sql" / "migrations"
        folder.mkdir(parents=True)
        for file in (migrations.SERVICES / service / "sql" / "migrations").glob("*.sql"):
            if file.name[:4] <= last:
                shutil.copy(file, folder)
    admin = await postgres.session("postgres")
    await admin.execute(f"CREATE DATABASE {DATABASE}")
    try:
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "SERVICES", tmp_path)
            await migrate()
        yield migrate
    finally:
        await admin.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        await admin.close()


async def _gave_up_twice(logs: Path, traffic: Traffic) -> bool:
    """Return whether dbmate has reported two errors, or a payment failed before."""
    errors = sum(log.read_text().count("Error:") for log in logs.glob("*.log"))
    return errors >= 2 or traffic.failed != []


async def test_no_payment_of_the_previous_version_fails_during_a_migration_to_this_one(
    postgres: PostgresStore, previous: Migrate, tmp_path: Path
) -> None:
    accounts = [new_id() for _ in range(4)]
    admin = await postgres.session("postgres", DATABASE)
    payments = await postgres.pool("bp_payments", 4, DATABASE)
    transfers = await postgres.pool("bp_transfers", 4, DATABASE)
    reader = await postgres.session("postgres", DATABASE)
    traffic = Traffic(payments, transfers, accounts)
    try:
        await admin.execute("CREATE EXTENSION pg_stat_statements")
        await admin.execute(
            "SELECT ledger.seed_accounts($1, $2)", accounts, [10_000_000_00] * len(accounts)
        )
        for account_id in accounts:
            await admin.execute(PLANT, account_id, account_id, TRANSFERS // len(accounts))
        # A long-running reader, like a backup.
        reading = reader.transaction()
        await reading.start()
        await reader.fetch("SELECT transfer_id FROM payments.interbank_transfer LIMIT 1")
        async with asyncio.TaskGroup() as customers:
            for number in range(len(accounts)):
                customers.create_task(traffic.pay(number))
            migrating = customers.create_task(previous())
            try:
                gave_up = "the migration gives up, and is repeated"
                await until(lambda: _gave_up_twice(tmp_path, traffic), what=gave_up)
                await reading.rollback()
                await migrating
            finally:
                traffic.stopped = True
        print(
            f"{traffic.done} payments, the longest call {await admin.fetchval(LONGEST):.0f} ms,"
            f" repeated: {traffic.overtaken}"
        )
        assert traffic.failed == []
        assert len(traffic.overtaken) <= len(OVERTAKES) * len(accounts), traffic.overtaken
        assert traffic.done > 0
    finally:
        await reader.close()
        await transfers.close()
        await payments.close()
        await admin.close()
