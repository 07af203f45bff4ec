"""Declined orders: each is on record with its event, and old months are dropped."""

import asyncio
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from bp.payments.v1.payments_errors_pb2 import PaymentsErrorReason
from bp.payments.v1.payments_events_pb2 import PaymentEvent

from services.chassis.batching import DEFAULT_BATCH_LIMITS
from services.chassis.postgres import load_queries
from services.kernel.clock import utc_now
from services.kernel.errors import AccountBusy
from services.kernel.ids import new_id, shard_of
from services.payments import mapping
from services.payments import store as store_module
from services.payments.declines import DeclineStore
from services.payments.store import Store
from services.payments.transfer import Decline, InterbankTransferOrder, order_id
from tests.integration.payments.orders import order_of
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.stores import PostgresStore

QUERIES = Path(store_module.__file__).with_name("sql") / "queries.sql"


def _decline_of(holder: Holder) -> Decline:
    home = shard_of(holder.account_id)
    return Decline(new_id(home), order_of(holder), "FRAUD_DECLINED", utc_now())


async def test_a_declined_order_is_written_with_its_event_and_posts_nothing(
    store: Store, bank: LedgerBank
) -> None:
    holder = await bank.open_holder(100_00)
    decline = _decline_of(holder)
    await store.declines.record(decline, mapping.decline_event(decline, new_id()))
    write = await bank.superuser("bp_write")
    row = await write.fetchrow(
        "SELECT * FROM payments.declined_order WHERE decline_id = $1", decline.decline_id
    )
    assert row is not None
    order = decline.order
    assert (row["customer_id"], row["account_id"]) == (order.customer_id, order.account_id)
    assert (row["amount"], row["currency"], row["reason"]) == (1_00, "USD", "FRAUD_DECLINED")
    assert row["beneficiary_name"] == order.beneficiary.name
    assert row["account_number"] == order.beneficiary.account_number
    assert row["fraud_transaction_id"] == order_id(order)
    payload = await write.fetchval(
        "SELECT payload FROM outbox.event WHERE subject = $1 AND event_type = $2",
        decline.decline_id,
        "bp.payments.v1.TransferDeclined",
    )
    assert isinstance(payload, bytes)
    event = PaymentEvent.FromString(payload)
    assert event.metadata.customer_id == str(order.customer_id)
    assert event.transfer_declined.reason == PaymentsErrorReason.FRAUD_DECLINED
    assert event.transfer_declined.amount.minor_units == 1_00
    assert await bank.held(holder.account_id) == (100_00, 1)


async def test_a_decline_whose_event_cannot_be_written_leaves_no_row(
    store: Store, bank: LedgerBank
) -> None:
    decline = _decline_of(await bank.open_holder(100_00))
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await store.declines.record(decline, mapping.decline_event(decline, uuid.uuid4()))
    write = await bank.superuser("bp_write")
    sql = "SELECT count(*) FROM payments.declined_order WHERE decline_id = $1"
    assert await write.fetchval(sql, decline.decline_id) == 0


async def _records(bank: LedgerBank, holder: Holder) -> list[tuple[str, str]]:
    """Return the reason and the event type of each of a customer's records."""
    write = await bank.superuser("bp_write")
    rows = await write.fetch(
        "SELECT d.reason, e.event_type FROM payments.declined_order d"
        " LEFT JOIN outbox.event e ON e.subject = d.decline_id"
        " WHERE d.customer_id = $1 ORDER BY d.decline_id",
        holder.customer_id,
    )
    return [(row["reason"], row["event_type"].rpartition(".")[2]) for row in rows]


async def _record(declines: DeclineStore, order: InterbankTransferOrder, reason: str) -> bool:
    home = shard_of(order.account_id)
    decline = Decline(new_id(home), order, reason, utc_now())
    return await declines.record(decline, mapping.decline_event(decline, new_id(home)))


async def test_a_repeated_order_has_one_record_and_one_event_for_each_reason(
    store: Store, bank: LedgerBank
) -> None:
    holder = await bank.open_holder(100_00)
    order = order_of(holder)
    repeated = await asyncio.gather(
        *(_record(store.declines, order, "FRAUD_DECLINED") for _ in range(9))
    )
    assert sorted(repeated) == [False] * 8 + [True]
    assert not await _record(store.declines, order, "FRAUD_DECLINED")
    assert await _record(store.declines, order, "ACCOUNT_FROZEN")
    assert await _record(store.declines, order_of(holder), "FRAUD_DECLINED")
    reasons = ["FRAUD_DECLINED", "ACCOUNT_FROZEN", "FRAUD_DECLINED"]
    assert await _records(bank, holder) == [(reason, "TransferDeclined") for reason in reasons]


async def test_declines_at_the_same_time_share_a_commit(store: Store, bank: LedgerBank) -> None:
    holders = [await bank.open_holder(100_00) for _ in range(12)]
    orders = [order_of(holder) for holder in holders]
    await asyncio.gather(*(_record(store.declines, one, "FRAUD_DECLINED") for one in orders))
    write = await bank.superuser("bp_write")
    commits = await write.fetchval(
        "SELECT count(DISTINCT xmin::text) FROM payments.declined_order"
        " WHERE customer_id = ANY ($1)",
        [holder.customer_id for holder in holders],
    )
    assert commits == 1


async def test_one_order_that_cannot_be_recorded_fails_no_other_of_its_batch(
    store: Store, bank: LedgerBank
) -> None:
    good, bad = [await bank.open_holder(100_00) for _ in range(2)]
    decline = _decline_of(bad)
    results = await asyncio.gather(
        _record(store.declines, order_of(good), "FRAUD_DECLINED"),
        store.declines.record(decline, mapping.decline_event(decline, uuid.uuid4())),
        _record(store.declines, order_of(good), "FRAUD_DECLINED"),
        return_exceptions=True,
    )
    assert results[0::2] == [True, True]
    assert isinstance(results[1], asyncpg.InvalidParameterValueError)


async def test_a_customer_whose_row_is_held_fails_no_other_order_of_the_batch(
    store: Store, bank: LedgerBank
) -> None:
    held, *others = [await bank.open_holder(100_00) for _ in range(5)]
    await _record(store.declines, order_of(held), "FRAUD_DECLINED")
    write = await bank.superuser("bp_write")
    async with write.transaction():
        await write.execute(
            "SELECT FROM payments.declines_of_hour WHERE customer_id = $1 FOR UPDATE",
            held.customer_id,
        )
        orders = [order_of(one) for one in (held, *others, held)]
        results = await asyncio.gather(
            *(_record(store.declines, one, "FRAUD_DECLINED") for one in orders),
            return_exceptions=True,
        )
    assert results[1:-1] == [True] * len(others)
    assert [type(one) for one in (results[0], results[-1])] == [AccountBusy] * 2
    assert await _record(store.declines, orders[0], "FRAUD_DECLINED"), "the row is free again"


async def test_orders_beyond_the_limit_of_an_hour_are_counted_in_one_event(
    postgres: PostgresStore, bank: LedgerBank
) -> None:
    pool = await postgres.pool("bp_payments", 2)
    sql = load_queries(QUERIES)
    declines = DeclineStore(pool, sql, DEFAULT_BATCH_LIMITS, per_hour_max=3)
    holder, other = [await bank.open_holder(100_00) for _ in range(2)]
    orders = [order_of(holder) for _ in range(10)]
    recorded = [await _record(declines, order, "FRAUD_DECLINED") for order in orders]
    assert recorded == [True] * 3 + [False] * 7
    assert not await _record(declines, orders[0], "FRAUD_DECLINED"), "a repetition counts never"
    assert await _record(declines, order_of(other), "FRAUD_DECLINED")
    await declines.report_further()
    assert await _reported(bank, holder) == [], "the hour has not ended"
    write = await bank.superuser("bp_write")
    await write.execute(
        "UPDATE payments.declines_of_hour SET hour = hour - interval '2 hours'"
        " WHERE customer_id = ANY ($1)",
        [holder.customer_id, other.customer_id],
    )
    for _ in range(2):
        await declines.report_further()
    assert await _reported(bank, other) == []
    (told,) = await _reported(bank, holder)
    fact = told.further_orders_declined
    assert (fact.recorded_orders, fact.further_orders) == (3, 7)
    ended = fact.hour_start_time.ToDatetime() + timedelta(hours=1)
    assert told.metadata.occur_time.ToDatetime() == ended
    assert told.metadata.customer_id == str(holder.customer_id)
    await pool.close()


async def _reported(bank: LedgerBank, holder: Holder) -> list[PaymentEvent]:
    write = await bank.superuser("bp_write")
    rows = await write.fetch(
        "SELECT payload FROM outbox.event e JOIN payments.declines_of_hour h"
        " ON e.subject = h.report_id WHERE h.customer_id = $1",
        holder.customer_id,
    )
    return [PaymentEvent.FromString(row["payload"]) for row in rows]


async def test_declined_orders_are_kept_for_five_years_and_then_dropped_by_month(
    store: Store, bank: LedgerBank
) -> None:
    write = await bank.superuser("bp_write")
    await store.ensure_partitions()
    recent = await _months(write)
    four, six = (utc_now() - timedelta(days=365 * years) for years in (4, 6))
    for since in (four, six):
        await write.execute("SELECT payments.ensure_partitions(0, $1)", since)
    assert {_month(four), _month(six)} <= await _months(write)
    await store.declines.drop_old()
    left = await _months(write)
    assert recent | {_month(four)} <= left
    assert _month(six) not in left


def _month(instant: datetime) -> str:
    return f"declined_order_{instant:%Y_%m}"


async def _months(write: asyncpg.Connection) -> set[str]:
    rows = await write.fetch(
        "SELECT c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid"
        " WHERE h.inhparent = 'payments.declined_order'::regclass"
    )
    return {row["relname"] for row in rows}
