"""A book transfer that a control of the bank declined has a record and an audit event."""

import asyncio
import uuid
from datetime import datetime, timedelta

import asyncpg
import pytest
from bp.payments.v1.payments_events_pb2 import PaymentEvent
from bp.transfers.v1.transfers_errors_pb2 import TransfersErrorReason
from bp.transfers.v1.transfers_events_pb2 import TransferEvent
from bp.transfers.v1.transfers_service_pb2 import CreateBookTransferRequest
from bp.transfers.v1.transfers_service_pb2_grpc import TransfersServiceStub

from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.payments.store import Store as PaymentsStore
from services.transfers import mapping
from services.transfers.settings import TransfersSettings
from services.transfers.state import BookTransferOrder, Decline
from services.transfers.store import Store
from tests.integration.transfers.test_batches import order_of, transfer
from tests.rigs.book_transfer_calls import new_key, order
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.sidecar_calls import from_customer, refusal

LIMIT: int = TransfersSettings.model_fields["amount_minor_units_max"].default
RECORDS = """
SELECT d.*, e.payload, e.topic, e.key
FROM transfers.declined_order d JOIN outbox.event e ON e.subject = d.decline_id
WHERE d.customer_id = $1 ORDER BY d.decline_id
"""


async def _records(bank: LedgerBank, holder: Holder) -> list[asyncpg.Record]:
    """Return the records of a customer, each with its event."""
    write = await bank.superuser("bp_write")
    return await write.fetch(RECORDS, holder.customer_id)


async def _refused(
    stub: TransfersServiceStub, payer: Holder, request: CreateBookTransferRequest, key: str
) -> str:
    metadata = from_customer(payer.customer_id, key)
    return (await refusal(stub.CreateBookTransfer(request, metadata=metadata)))[1]


def _decline(payer: Holder, payee: Holder, key: str) -> Decline:
    home = shard_of(payer.account_id)
    made: BookTransferOrder = order_of(transfer(payer, payee, 100), key)
    return Decline(new_id(home), made, "ACCOUNT_FROZEN", utc_now())


async def _declined(store: Store, decline: Decline) -> bool:
    event = mapping.decline_event(decline, new_id(shard_of(decline.order.account_id)))
    return await store.decline(decline, event)


@pytest.mark.parametrize(
    ("state", "cents", "reason"),
    [("FROZEN", 100, "ACCOUNT_FROZEN"), ("ACTIVE", LIMIT + 1, "AMOUNT_LIMIT_EXCEEDED")],
)
async def test_a_declined_order_has_one_record_and_one_event_however_often_it_is_repeated(
    bank: LedgerBank, transfers_stub: TransfersServiceStub, state: str, cents: int, reason: str
) -> None:
    payer, payee = await bank.open_holder(1_000, state), await bank.open_holder()
    request, key = order(payer.account_id, payee.account_id, cents), new_key()
    for _ in range(3):
        assert await _refused(transfers_stub, payer, request, key) == reason
    (row,) = await _records(bank, payer)
    assert (row["account_id"], row["destination_account_id"]) == (
        payer.account_id,
        payee.account_id,
    )
    assert (row["amount"], row["currency"], row["reason"]) == (cents, "USD", reason)
    assert (row["topic"], row["key"]) == ("transfers", payer.account_id)
    event = TransferEvent.FromString(row["payload"])
    assert event.metadata.customer_id == str(payer.customer_id)
    assert event.metadata.aggregate_id == str(row["decline_id"])
    declined = event.book_transfer_declined
    assert declined.reason == TransfersErrorReason.Value(reason)
    assert declined.amount.minor_units == cents
    assert uuid.UUID(declined.order_id) == row["order_id"]
    assert await _refused(transfers_stub, payer, request, new_key()) == reason
    assert len(await _records(bank, payer)) == 2, "a different key means a different order"
    assert await bank.held(payer.account_id) == (1_000, 1)


async def test_only_an_order_of_the_callers_own_account_is_kept_on_record(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    owner, other = await bank.open_holder(1_000), await bank.open_holder()
    request = order(owner.account_id, other.account_id, LIMIT + 1)
    assert await _refused(transfers_stub, other, request, new_key()) == "AMOUNT_LIMIT_EXCEEDED"
    assert await _records(bank, other) == []


async def test_an_order_that_no_control_declined_leaves_no_record(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    request = order(payer.account_id, payee.account_id, 1_001)
    assert await _refused(transfers_stub, payer, request, new_key()) == "INSUFFICIENT_FUNDS"
    assert await _records(bank, payer) == []


async def test_an_accepted_order_that_is_repeated_after_a_freeze_is_not_declined(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    request, metadata = order(payer.account_id, payee.account_id, 100), new_key()
    call = from_customer(payer.customer_id, metadata)
    first = await transfers_stub.CreateBookTransfer(request, metadata=call)
    customers = await bank.superuser("bp_customers")
    await customers.execute(
        "UPDATE customers.account SET state = 'FROZEN' WHERE account_id = $1", payer.account_id
    )
    assert await transfers_stub.CreateBookTransfer(request, metadata=call) == first
    assert await _records(bank, payer) == []


async def test_orders_of_both_services_share_the_limit_of_an_hour_and_its_event(
    bank: LedgerBank,
) -> None:
    pool = await bank.postgres.pool("bp_transfers", 2)
    store = Store(pool, declines_per_hour_max=3)
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    declines = [_decline(payer, payee, f"key-{number}") for number in range(5)]
    kept = await asyncio.gather(*(_declined(store, one) for one in declines))
    assert sorted(kept) == [False] * 2 + [True] * 3
    assert len(await _records(bank, payer)) == 3
    write = await bank.superuser("bp_write")
    await write.execute(
        "UPDATE payments.declines_of_hour SET hour = hour - interval '2 hours'"
        " WHERE customer_id = $1",
        payer.customer_id,
    )
    payments_pool = await bank.postgres.pool("bp_payments", 1)
    await PaymentsStore(payments_pool).declines.report_further()
    payload = await write.fetchval(
        "SELECT payload FROM outbox.event e JOIN payments.declines_of_hour h"
        " ON e.subject = h.report_id WHERE h.customer_id = $1",
        payer.customer_id,
    )
    assert isinstance(payload, bytes)
    fact = PaymentEvent.FromString(payload).further_orders_declined
    assert (fact.recorded_orders, fact.further_orders) == (3, 2)
    await payments_pool.close()
    await pool.close()


async def test_an_order_that_cannot_be_recorded_fails_no_other_of_its_batch(
    bank: LedgerBank,
) -> None:
    pool = await bank.postgres.pool("bp_transfers", 2)
    store = Store(pool)
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    good, bad, last = [_decline(payer, payee, key) for key in ("a", "b", "c")]
    unsound = store.decline(bad, mapping.decline_event(bad, uuid.uuid4()))
    results = await asyncio.gather(
        _declined(store, good), unsound, _declined(store, last), return_exceptions=True
    )
    assert results[0::2] == [True, True]
    assert isinstance(results[1], asyncpg.InvalidParameterValueError)
    await pool.close()


async def test_a_declined_order_is_kept_for_five_years_and_then_dropped_by_month(
    bank: LedgerBank,
) -> None:
    pool = await bank.postgres.pool("bp_transfers", 1)
    store = Store(pool)
    await store.ensure_partitions()
    write = await bank.superuser("bp_write")
    recent = await _months(write)
    four, six = (utc_now() - timedelta(days=365 * years) for years in (4, 6))
    for since in (four, six):
        await write.execute("SELECT transfers.ensure_partitions(0, $1)", since)
    assert {_month(four), _month(six)} <= await _months(write)
    await store.drop_old_declines()
    left = await _months(write)
    assert recent | {_month(four)} <= left
    assert _month(six) not in left
    await pool.close()


def _month(instant: datetime) -> str:
    return f"declined_order_{instant:%Y_%m}"


async def _months(write: asyncpg.Connection) -> set[str]:
    rows = await write.fetch(
        "SELECT c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid"
        " WHERE h.inhparent = 'transfers.declined_order'::regclass"
    )
    return {row["relname"] for row in rows}
