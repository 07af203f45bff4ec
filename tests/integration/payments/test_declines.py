"""Declined orders: each is on record with its event, and old months are dropped."""

import uuid
from datetime import datetime, timedelta

import asyncpg
import pytest
from bp.payments.v1.payments_errors_pb2 import PaymentsErrorReason
from bp.payments.v1.payments_events_pb2 import PaymentEvent

from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.payments import mapping
from services.payments.store import Store
from services.payments.transfer import Decline, order_id
from tests.integration.payments.orders import order_of
from tests.rigs.ledger_bank import Holder, LedgerBank


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
