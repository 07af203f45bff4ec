"""The debit notes the beneficiaries of a customer, and waits for no other first payment."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services.kernel.clock import utc_now
from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.ledger import refusals
from services.payments import mapping
from services.payments.rows import Lease, debit_order
from services.payments.state import DEBIT
from services.payments.store import Store
from services.payments.transfer import InterbankTransferOrder, debited
from tests.integration.payments.orders import debit, order_of
from tests.rigs.ledger_bank import LedgerBank

PAID_ALONE = "SELECT payments.debit(" + ", ".join(f"${at}" for at in range(1, 22)) + ")"


def _lease() -> Lease:
    return Lease("test/0", utc_now() + timedelta(hours=1))


def _to(order: InterbankTransferOrder, **changes: str) -> InterbankTransferOrder:
    return replace(order, beneficiary=replace(order.beneficiary, **changes))


async def test_a_beneficiary_is_known_to_its_payer_after_the_first_debit(
    store: Store, bank: LedgerBank
) -> None:
    holder, other = await bank.open_holder(100_00), await bank.open_holder(100_00)
    order = order_of(holder)
    assert await store.beneficiaries.is_new(order)
    await debit(store, order, _lease())
    assert not await store.beneficiaries.is_new(order_of(holder))
    assert not await store.beneficiaries.is_new(_to(order, name="Another Name"))
    assert await store.beneficiaries.is_new(_to(order, account_number="123457"))
    assert await store.beneficiaries.is_new(_to(order, routing_number="011000015"))
    assert await store.beneficiaries.is_new(order_of(other))


async def test_questions_at_the_same_time_get_their_own_answers(
    store: Store, bank: LedgerBank
) -> None:
    holders = [await bank.open_holder(100_00) for _ in range(6)]
    for holder in holders[::2]:
        await debit(store, order_of(holder), _lease())
    asked = await asyncio.gather(*(store.beneficiaries.is_new(order_of(one)) for one in holders))
    assert asked == [False, True] * 3


async def test_a_debit_that_the_books_refuse_makes_no_beneficiary_known(
    store: Store, bank: LedgerBank
) -> None:
    order = replace(order_of(await bank.open_holder(1_00)), amount=Money(1_01, "USD"))
    with pytest.raises(refusals.InsufficientFunds):
        await debit(store, order, _lease())
    assert await store.beneficiaries.is_new(order)


async def test_a_first_debit_does_not_wait_for_another_first_debit_to_the_beneficiary(
    store: Store, bank: LedgerBank
) -> None:
    """The debits are of two accounts of the customer, so only the beneficiary is shared."""
    holder = await bank.open_holder(100_00)
    second = await bank.open_account(holder.customer_id, 100_00)
    order, another = order_of(holder), replace(order_of(holder), account_id=second)
    transfer_id = new_id(shard_of(order.account_id))
    transfer = debited(order, transfer_id, fraud_review=False, now=utc_now())
    event = mapping.event_out(transfer, DEBIT.event_type, new_id())
    write = await bank.superuser("bp_write")
    async with write.transaction():
        await write.execute(PAID_ALONE, *debit_order(order, transfer, event, _lease()))
        await debit(store, another, _lease())
    sql = "SELECT count(*) FROM payments.known_beneficiary WHERE customer_id = $1"
    assert await write.fetchval(sql, holder.customer_id) == 2
    assert not await store.beneficiaries.is_new(order)


async def test_the_question_is_answered_from_the_primary_key(bank: LedgerBank) -> None:
    write = await bank.superuser("bp_write")
    plan = await write.fetch(
        "EXPLAIN SELECT FROM payments.known_beneficiary k WHERE k.shard = ledger.shard_of($1)"
        " AND k.customer_id = $1 AND k.beneficiary = payments.beneficiary_digest($1, $2, $3)",
        new_id(),
        "021000021",
        "123456",
    )
    text = "\n".join(row[0] for row in plan)
    assert "known_beneficiary_pkey" in text
    assert "beneficiary = sha256" in text, "PostgreSQL inlines the digest"
