"""A request is repeated at another process while the first process still executes it."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

import pytest_asyncio
from bp.customers.v1.account_pb2 import Account
from bp.customers.v1.customers_service_pb2 import CheckDebitResponse

from services.chassis.page_tokens import PageTokens
from services.transfers import handlers
from services.transfers.state import BookTransferOrder
from services.transfers.store import Store
from tests.integration.transfers.test_batches import order_of, transfer
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.services_in_process import Running

RACES = 20
CENTS = 1_00


class _Customers:
    """A stub of the customers client: it knows these holders, and answers after some time."""

    def __init__(self, holders: list[Holder]) -> None:
        self._holders = {each.account_id: each for each in holders}

    async def check_debit(self, _: uuid.UUID, account_id: uuid.UUID, other_id: uuid.UUID) -> Any:
        """Return both accounts, which are active."""
        await asyncio.sleep(random.random() / 50)
        return CheckDebitResponse(
            account=self._account(account_id), destination_account=self._account(other_id)
        )

    def _account(self, account_id: uuid.UUID) -> Account:
        return Account(
            account_id=str(account_id),
            customer_id=str(self._holders[account_id].customer_id),
            state=Account.State.ACTIVE,
            currency_code="USD",
        )


@pytest_asyncio.fixture
async def stores(bank: LedgerBank) -> AsyncIterator[tuple[Store, Store]]:
    """The stores of two processes, each with its own connections."""
    pools = [await bank.postgres.pool("bp_transfers") for _ in range(2)]
    yield Store(pools[0]), Store(pools[1])
    for pool in pools:
        await pool.close()


async def test_a_request_at_two_processes_is_one_transfer_and_one_answer(
    bank: LedgerBank, transfers: Running, stores: tuple[Store, Store]
) -> None:
    """Also if the caller of the first call leaves while its process executes it."""
    payee = await bank.open_holder()
    payers = [await bank.open_holder(5_00) for _ in range(RACES)]
    customers = cast("Any", _Customers([payee, *payers]))
    tokens = PageTokens(b"sealed by the test")
    first, second = (
        handlers.Dependencies(transfers.settings, each, customers, customers, tokens)
        for each in stores
    )

    async def repeated(order: BookTransferOrder, *, breaks_off: bool) -> bytes:
        call = asyncio.create_task(handlers.create_book_transfer(first, order, None))
        await asyncio.sleep(random.random() / 50)
        if breaks_off:
            call.cancel()
        answer = await handlers.create_book_transfer(second, order, None)
        with suppress(asyncio.CancelledError):
            assert await call == answer
        return answer

    orders = [order_of(transfer(payer, payee, CENTS)) for payer in payers]
    answers = await asyncio.gather(
        *(repeated(order, breaks_off=n % 2 == 0) for n, order in enumerate(orders))
    )
    assert len(set(answers)) == RACES
    assert [await bank.held(payer.account_id) for payer in payers] == [(4_00, 2)] * RACES
    assert await bank.held(payee.account_id) == (RACES * CENTS, RACES)
