"""Keys end after 400 days; a roll-back of a migration never drops money or records."""

import re
import uuid
from datetime import datetime, timedelta

import asyncpg
import pytest

from ops.provision.migrations import SERVICES
from ops.provision.roster import MIGRATIONS
from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.payments import store as payments_store
from services.payments.rows import Lease
from services.payments.store import Store
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank

PLANT = """
WITH planted AS (
    INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
        currency, beneficiary_name, routing_number, account_number, account_type, memo,
        fraud_review, state, idempotency_key, correlation_id, traceparent, create_time,
        update_time, lease_owner, lease_until)
    SELECT ledger.shard_of($1), $1, $2, $1, 1, 'USD', '', '', '', '', '', false, 'COMPLETED', $3,
        '', '', now(), now(), '', now()
    RETURNING shard, customer_id, idempotency_key, transfer_id
)
INSERT INTO payments.idempotency_key (shard, customer_id, idempotency_key, fingerprint, transfer_id)
SELECT shard, customer_id, idempotency_key, $4, transfer_id FROM planted
"""
PLANT_BOOK = """
WITH planted AS (
    INSERT INTO transfers.book_transfer (shard, transfer_id, customer_id, account_id,
        destination_customer_id, destination_account_id, currency, amount, memo, create_time,
        response)
    SELECT ledger.shard_of($1), $1, $2, $1, $2, $2, 'USD', 1, '', now(), ''
    RETURNING customer_id, transfer_id
)
INSERT INTO payments.idempotency_key (shard, customer_id, idempotency_key, fingerprint, transfer_id)
SELECT ledger.shard_of(customer_id), customer_id, $3, $4, transfer_id FROM planted
"""


class _TakeBack(Exception):
    """Rolls a transaction back."""


def _id_of(instant: datetime, shard: int) -> uuid.UUID:
    """Return an id like the bank's ids of a given time."""
    milliseconds = int(instant.timestamp() * 1000)
    return uuid.UUID(bytes=milliseconds.to_bytes(6, "big") + new_id(shard).bytes[6:])


KEYS_OF = "SELECT idempotency_key FROM payments.idempotency_key WHERE customer_id = $1"


@pytest.mark.parametrize(("schema", "plant"), [("payments", PLANT), ("transfers", PLANT_BOOK)])
async def test_a_key_is_honoured_for_400_days_and_then_forgotten_in_batches(
    bank: LedgerBank, schema: str, plant: str
) -> None:
    write = await bank.superuser("bp_write")
    customer_id = new_id()
    home = shard_of(customer_id)
    ages = {"old-1": 460, "old-2": 430, "old-3": 401, "young-1": 399, "young-2": 1}
    try:
        async with write.transaction():
            for days in ages.values():
                since = utc_now() - timedelta(days=days)
                await write.execute(f"SELECT {schema}.ensure_partitions(0, $1)", since)
            for key, days in ages.items():
                transfer_id = _id_of(utc_now() - timedelta(days=days), home)
                await write.execute(plant, transfer_id, customer_id, key, b"f" * 32)
            forget = f"SELECT {schema}.forget_keys(2)"
            batches = [await write.fetchval(forget) for _ in range(3)]
            assert batches == [2, 1, 0]
            kept = {row[0] for row in await write.fetch(KEYS_OF, customer_id)}
            assert kept == {"young-1", "young-2"}
            raise _TakeBack
    except _TakeBack:
        pass


async def test_a_batch_of_old_keys_is_found_by_the_primary_key(bank: LedgerBank) -> None:
    write = await bank.superuser("bp_write")
    try:
        async with write.transaction():
            await write.execute("SET LOCAL plan_cache_mode = force_generic_plan")
            await write.execute("SET LOCAL enable_seqscan = off")
            await write.execute(
                "PREPARE old (smallint, uuid, uuid, integer) AS"
                " SELECT t.transfer_id FROM payments.interbank_transfer t"
                " WHERE t.shard = $1 AND t.transfer_id > $2 AND t.transfer_id < $3"
                " ORDER BY t.transfer_id LIMIT $4"
            )
            rows = await write.fetch("EXPLAIN EXECUTE old (1::smallint, uuidv7(), uuidv7(), 1000)")
            plan = "\n".join(row[0] for row in rows)
            assert "Sort" not in plan, plan
            assert "Seq Scan" not in plan, plan
            assert re.search(r"Index Cond: \(\(shard = \$1\) AND \(transfer_id > \$2\)", plan), plan
            raise _TakeBack
    except _TakeBack:
        pass


async def test_the_service_forgets_old_keys_and_keeps_the_others(
    store: Store, bank: LedgerBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payments_store, "KEYS_MAX", 1)
    holder = await bank.open_holder(5_00)
    order = order_of(holder)
    await debit(store, order, Lease("test/0", utc_now() + timedelta(seconds=60)))
    await store.forget_keys()
    assert await store.key(order) is not None


SENT = """
INSERT INTO notif.notification
    (notification_id, event_id, customer_id, template, title, body, transfer_id)
VALUES (uuidv7(), 'e', uuidv7(), 'TRANSFER_SENT', 't', 'b', 't')
"""
DEVICE = """
INSERT INTO notif.device (token, customer_id, locale) VALUES ('token', uuidv7(), 'es')
"""
LOGGED = """
INSERT INTO audit.record (chain, sequence, event_id, event_type, source_topic, source_partition,
    source_offset, subject, occur_time, log_offset, record_time, hash_version, previous_hash, hash,
    payload)
SELECT 0, (SELECT coalesce(max(sequence), 0) + 1 FROM audit.record WHERE chain = 0), uuidv7(),
    'e', 't', 0, 0, 's', now(), 0, now(), 1, h, h, ''
FROM decode(repeat('00', 32), 'hex') h
"""
PUBLISHED = """
DELETE FROM outbox.event;
INSERT INTO outbox.published (event_id, topic, partition, kafka_offset, subject)
VALUES (uuidv7(), 'payments', 0, 0, uuidv7())
"""
REPEATED = """
INSERT INTO audit.repeated (source_topic, source_partition, source_offset, event_id, chain,
    sequence, log_offset, previous_hash, hash)
SELECT 't', 0, 0, uuidv7(), 0, (SELECT coalesce(max(sequence), 0) + 1 FROM audit.repeated), 0, h, h
FROM decode(repeat('00', 32), 'hex') h
"""
REVIEWED = """
DELETE FROM payments.interbank_transfer;
INSERT INTO payments.review_decision (transfer_id, decision, effect, reviewer, note)
VALUES (uuidv7(), 'CLEARED', 'NONE', 'r', 'n')
"""
WITHOUT_KEY = """
DELETE FROM payments.interbank_transfer;
INSERT INTO payments.transfer_without_key (shard, transfer_id) VALUES (0, uuidv7())
"""
NOTHING = "SELECT"
HELD = {
    "payments": NOTHING,
    "payments, reviews": REVIEWED,
    "payments, transfers without a key": WITHOUT_KEY,
    "ledger": NOTHING,
    "relay": NOTHING,
    "relay, published": PUBLISHED,
    "transfers": NOTHING,
    "notifications": SENT,
    "notifications, devices": DEVICE,
    "customers": NOTHING,
    "audit": LOGGED,
    "audit, repeated": REPEATED,
}
"""Service -> a statement that plants a record. The other services have records of the test."""
DATABASES = {service: name for name, services in MIGRATIONS.items() for service in services}


def _newest_down(service: str) -> str:
    """Return the newest refusing `migrate:down`, which a rollback runs before all older ones."""
    folder = SERVICES / service / "sql" / "migrations"
    refusing = [f for f in sorted(folder.glob("*.sql")) if "object_in_use" in f.read_text()]
    return refusing[-1].read_text().partition("-- migrate:down")[2]


@pytest.mark.parametrize("held", HELD)
async def test_a_roll_back_that_would_drop_records_is_refused(
    store: Store, bank: LedgerBank, held: str
) -> None:
    service = held.partition(",")[0]
    holder = await bank.open_holder(5_00)
    await debit(store, order_of(holder), Lease("test/0", utc_now() + timedelta(seconds=60)))
    connection = await bank.superuser(DATABASES[service])
    try:
        async with connection.transaction():
            if service == "transfers":
                transfer_id = new_id()
                await connection.execute(PLANT_BOOK, transfer_id, new_id(), "k", b"f" * 32)
            await connection.execute(HELD[held])
            with pytest.raises(asyncpg.ObjectInUseError):
                async with connection.transaction():
                    await connection.execute(_newest_down(service))
            raise _TakeBack
    except _TakeBack:
        pass
