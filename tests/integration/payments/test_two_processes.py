"""A request is repeated at another process while the process that got it first still executes it.

A proxy repeats a call whose connection broke. The first process may be alive: then both execute the
call at the same time. Money moves once, and both give the same answer.
"""

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, cast

import pytest
import pytest_asyncio
from bp.customers.v1.account_pb2 import Account
from bp.customers.v1.customers_service_pb2 import CheckDebitResponse
from bp.payments.v1.interbank_transfer_pb2 import InterbankTransfer
from bp.payments.v1.payments_service_pb2 import CreateInterbankTransferResponse

from lab.simulator.services.places import NOWHERE
from services.chassis.page_tokens import PageTokens
from services.chassis.wait_limit import WaitLimit
from services.payments import handlers
from services.payments.checks import Decision, Limits, Score
from services.payments.dependencies import Dependencies
from services.payments.driver import Driver
from services.payments.saga import Answer, Outcome
from services.payments.settings import PaymentsSettings
from services.payments.state import State
from services.payments.store import Store
from services.payments.transfer import InterbankTransferOrder, Transfer
from tests.integration.payments.orders import order_of
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

RACES = 20
WAIT_S = 60.0
"""Longer than the saga takes here."""


class _House:
    """A clearing house that accepts every transfer, and knows it by its id from then on."""

    def __init__(self) -> None:
        self.traces: dict[uuid.UUID, str] = {}

    async def submit(self, transfer: Transfer) -> Answer:
        """Accept a transfer; a repeated one has the trace number of the first."""
        await asyncio.sleep(random.random() / 100)
        number = f"{transfer.transfer_id.int % 10**15:015}"
        trace = self.traces.setdefault(transfer.transfer_id, number)
        return Answer(Outcome.ACCEPTED, trace_number=trace)

    query = submit

    async def recall(self, _: Transfer) -> Answer:
        """Cancel a transfer, also repeatedly."""
        await asyncio.sleep(random.random() / 100)
        return Answer(Outcome.RECALLED)


class _Calm:
    """A stub of the other clients, which accept everything."""

    async def check_debit(self, *_: Any) -> CheckDebitResponse:
        """Return an active account of the caller."""
        account = Account(state=Account.State.ACTIVE, currency_code="USD")
        return CheckDebitResponse(account=account)

    async def score(self, _order: InterbankTransferOrder) -> Score:
        """Return an accepting score, after some time."""
        await asyncio.sleep(random.random() / 100)
        return Score(Decision.APPROVE)

    async def takes_part(self, _routing_number: str) -> bool:
        """Return True: every bank takes part."""
        return True


@pytest.fixture
def house() -> _House:
    return _House()


@pytest_asyncio.fixture
async def processes(
    postgres: PostgresStore, house: _House
) -> AsyncGenerator[tuple[Dependencies, Dependencies]]:
    """Two processes of payments, each with its own connections."""
    pools = [await postgres.pool("bp_payments") for _ in range(2)]
    made = [_process(Store(pool), house, f"test/{n}") for n, pool in enumerate(pools)]
    yield made[0], made[1]
    for each in made:
        await each.driver.drain(WAIT_S)
    for pool in pools:
        await pool.close()


def _process(store: Store, house: _House, slot: str) -> Dependencies:
    ach, calm = cast("Any", house), cast("Any", _Calm())
    return Dependencies(
        settings=PaymentsSettings(service="payments", answer_wait_s=WAIT_S, **NOWHERE),
        waits=WaitLimit(waits_max=1000, per_customer_max=10),
        store=store,
        driver=Driver(store, ach, slot),
        ach=calm,
        fraud=calm,
        customers=calm,
        limits=Limits(transfer_max=100_00, unscored_max=100_00),
        tokens=PageTokens.of({"page_token_key": "0" * 64}),
        webhook_secrets=cast("Any", None),
    )


def _transfer(answer: bytes) -> InterbankTransfer:
    return CreateInterbankTransferResponse.FromString(answer).transfer


async def _later(process: Dependencies, order: InterbankTransferOrder) -> bytes:
    """Repeat a request after a random time: before, in or after the debit of the first one."""
    await asyncio.sleep(random.random() / 50)
    return await handlers.create_interbank_transfer(process, order, None)


async def test_a_request_at_two_processes_is_one_transfer_and_one_answer(
    processes: tuple[Dependencies, Dependencies], bank: LedgerBank, house: _House
) -> None:
    first, second = processes
    orders = [order_of(await bank.open_holder(5_00)) for _ in range(RACES)]
    calls = [
        each
        for order in orders
        for each in (
            handlers.create_interbank_transfer(first, order, None),
            _later(second, order),
        )
    ]
    answers = await asyncio.gather(*calls)
    assert answers[::2] == answers[1::2]
    states = {_transfer(each).state for each in answers}
    assert states == {InterbankTransfer.State.SUBMITTED}
    assert len(house.traces) == RACES
    assert [await bank.held(order.account_id) for order in orders] == [(4_00, 2)] * RACES


async def test_a_request_whose_first_caller_has_left_is_one_transfer(
    processes: tuple[Dependencies, Dependencies], bank: LedgerBank, house: _House
) -> None:
    """The connection of the first call breaks while its process executes it."""
    first, second = processes
    orders = [order_of(await bank.open_holder(5_00)) for _ in range(RACES)]

    async def broken_off(order: InterbankTransferOrder) -> bytes:
        call = asyncio.create_task(handlers.create_interbank_transfer(first, order, None))
        await asyncio.sleep(random.random() / 50)
        call.cancel()
        repeated = await handlers.create_interbank_transfer(second, order, None)
        with suppress(asyncio.CancelledError):
            assert await call == repeated
        return repeated

    answers = await asyncio.gather(*(broken_off(order) for order in orders))
    states = {_transfer(each).state for each in answers}
    assert states == {InterbankTransfer.State.SUBMITTED}
    assert len(house.traces) == RACES
    assert [await bank.held(order.account_id) for order in orders] == [(4_00, 2)] * RACES


async def test_a_cancellation_at_two_processes_refunds_once(
    processes: tuple[Dependencies, Dependencies], bank: LedgerBank
) -> None:
    orders = [order_of(await bank.open_holder(5_00)) for _ in range(RACES)]
    made = [await handlers.create_interbank_transfer(processes[0], o, None) for o in orders]
    ids = [uuid.UUID(_transfer(each).transfer_id) for each in made]
    cancelled = await asyncio.gather(
        *(
            handlers.cancel_interbank_transfer(process, order.customer_id, transfer_id)
            for order, transfer_id in zip(orders, ids, strict=True)
            for process in processes
        )
    )
    assert {each.state for each in cancelled} == {State.CANCELLED}
    assert [await bank.held(order.account_id) for order in orders] == [(5_00, 3)] * RACES
