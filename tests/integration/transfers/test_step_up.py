"""The first payment to an account of another customer, and a large one, need a recent factor."""

import asyncio

import asyncpg
import pytest
from bp.transfers.v1.transfers_service_pb2 import CreateBookTransferRequest
from bp.transfers.v1.transfers_service_pb2_grpc import TransfersServiceStub

from tests.rigs.book_transfer_calls import new_key, order
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.sidecar_calls import from_customer, refusal

LIMIT = 1_000_000
OLD_S = 301


async def _pays(
    stub: TransfersServiceStub,
    payer: Holder,
    request: CreateBookTransferRequest,
    key: str = "",
    age_s: int = 0,
) -> bytes:
    metadata = from_customer(payer.customer_id, key or new_key(), factor_age_s=age_s)
    answer = await stub.CreateBookTransfer(request, metadata=metadata)
    return answer.SerializeToString()


async def _reason(
    stub: TransfersServiceStub, payer: Holder, request: CreateBookTransferRequest, key: str = ""
) -> str:
    metadata = from_customer(payer.customer_id, key or new_key(), factor_age_s=OLD_S)
    return (await refusal(stub.CreateBookTransfer(request, metadata=metadata)))[1]


async def _known(bank: LedgerBank, payer: Holder) -> list[asyncpg.Record]:
    write = await bank.superuser("bp_write")
    sql = "SELECT account_id FROM transfers.known_beneficiary WHERE customer_id = $1"
    return await write.fetch(sql, payer.customer_id)


async def test_an_old_factor_pays_only_an_account_that_the_customer_paid_before(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    request, key = order(payer.account_id, payee.account_id, 100), new_key()
    assert await _reason(transfers_stub, payer, request, key) == "STEP_UP_REQUIRED"
    assert await _known(bank, payer) == []
    assert await bank.held(payer.account_id) == (1_000, 1)
    first = await _pays(transfers_stub, payer, request, key)
    assert await _pays(transfers_stub, payer, request, key, OLD_S) == first, "a replay"
    await _pays(transfers_stub, payer, request, age_s=OLD_S)
    assert await bank.held(payer.account_id) == (800, 3)
    assert [row["account_id"] for row in await _known(bank, payer)] == [payee.account_id]


async def test_what_one_customer_paid_is_new_to_another(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    payer, other = await bank.open_holder(1_000), await bank.open_holder(1_000)
    payee = await bank.open_holder()
    await _pays(transfers_stub, payer, order(payer.account_id, payee.account_id, 1))
    request = order(other.account_id, payee.account_id, 1)
    assert await _reason(transfers_stub, other, request) == "STEP_UP_REQUIRED"


@pytest.mark.parametrize(("cents", "is_refused"), [(LIMIT, False), (LIMIT + 1, True)])
async def test_a_large_payment_needs_a_recent_factor_even_to_a_known_account(
    bank: LedgerBank, transfers_stub: TransfersServiceStub, cents: int, is_refused: bool
) -> None:
    payer, payee = await bank.open_holder(2 * LIMIT), await bank.open_holder()
    await _pays(transfers_stub, payer, order(payer.account_id, payee.account_id, 1))
    request = order(payer.account_id, payee.account_id, cents)
    if is_refused:
        assert await _reason(transfers_stub, payer, request) == "STEP_UP_REQUIRED"
        await _pays(transfers_stub, payer, request)
    else:
        await _pays(transfers_stub, payer, request, age_s=OLD_S)
    assert (await bank.held(payer.account_id))[0] == 2 * LIMIT - 1 - cents


async def test_a_payment_to_an_account_of_the_payer_never_needs_a_factor(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    payer = await bank.open_holder(2 * LIMIT)
    savings = await bank.open_account(payer.customer_id)
    request = order(payer.account_id, savings, LIMIT + 1)
    await _pays(transfers_stub, payer, request, age_s=OLD_S)
    assert await _known(bank, payer) == []


async def test_an_error_in_the_order_comes_before_the_factor(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    payer, frozen = await bank.open_holder(1_000), await bank.open_holder(1_000, "FROZEN")
    missing = order(payer.account_id, payer.customer_id, 1)
    assert await _reason(transfers_stub, payer, missing) == "DESTINATION_NOT_FOUND"
    request = order(frozen.account_id, payer.account_id, 1)
    assert await _reason(transfers_stub, frozen, request) == "ACCOUNT_FROZEN"


async def test_two_first_payments_at_once_are_both_made(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    second = await bank.open_account(payer.customer_id, 1_000)
    sources = [payer.account_id, second] * 4
    requests = [order(source, payee.account_id, 10) for source in sources]
    await asyncio.gather(*(_pays(transfers_stub, payer, one) for one in requests))
    assert {row["account_id"] for row in await _known(bank, payer)} == {payee.account_id}
    assert (await bank.held(payer.account_id))[0] == 960


async def test_a_refused_order_is_on_record_once(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    request, key = order(payer.account_id, payee.account_id, 100), new_key()
    for _ in range(3):
        await _reason(transfers_stub, payer, request, key)
    write = await bank.superuser("bp_write")
    rows = await write.fetch(
        "SELECT d.reason, e.event_type FROM transfers.declined_order d"
        " JOIN outbox.event e ON e.subject = d.decline_id WHERE d.customer_id = $1",
        payer.customer_id,
    )
    assert [tuple(row) for row in rows] == [
        ("STEP_UP_REQUIRED", "bp.transfers.v1.BookTransferDeclined")
    ]


async def test_a_payment_that_the_books_refuse_makes_no_account_known(
    bank: LedgerBank, transfers_stub: TransfersServiceStub
) -> None:
    payer, payee = await bank.open_holder(10), await bank.open_holder()
    request = order(payer.account_id, payee.account_id, 11)
    metadata = from_customer(payer.customer_id, new_key())
    call = transfers_stub.CreateBookTransfer(request, metadata=metadata)
    assert (await refusal(call))[1] == "INSUFFICIENT_FUNDS"
    assert await _known(bank, payer) == []
