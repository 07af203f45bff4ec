"""Calls that wait for a position leave places for the calls that do not wait."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from bp.customers.v1 import customers_service_pb2 as pb
from bp.customers.v1.customers_service_pb2_grpc import CustomersServiceStub

from services.chassis.grpc_server import Server
from services.chassis.page_tokens import PageTokens
from services.chassis.postgres import connect
from services.chassis.revocations import RevokedSessions
from services.chassis.wait_limit import WaitLimit
from services.customers import bootstrap, state
from services.customers.balance_waiters import BalanceWaiters
from services.customers.handlers import Dependencies
from services.kernel.money import Money
from tests.rigs.ledger_bank import Holder, LedgerBank
from tests.rigs.services_in_process import Running, background, scaled_deadlines
from tests.rigs.sidecar_calls import from_customer, open_channel, refusal
from tests.rigs.stores import PostgresStore

NOT_REACHED = (grpc.StatusCode.UNAVAILABLE, "POSITION_NOT_REACHED")


@pytest_asyncio.fixture
async def small(
    postgres: PostgresStore, customers: Running, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[CustomersServiceStub]:
    """A customers service that serves four calls at once: two may wait, one of each customer."""
    socket = tmp_path_factory.mktemp("w") / "in.sock"
    limits = {"calls_max": 4, "waits_per_customer_max": 1}
    settings = customers.settings.model_copy(update={"socket_in": socket, **limits})
    database = postgres.database("bp_customers", "bp_customers")
    waiters = BalanceWaiters(
        customers.store.positions, lambda: connect(database, "customers-few-waiters")
    )
    tokens = PageTokens(b"sealed by the test")
    deps = Dependencies(settings, customers.store, waiters, WaitLimit.of(settings), tokens)
    with scaled_deadlines():
        server = Server(settings, bootstrap.apis(deps), RevokedSessions())
    async with background(waiters.run()), open_channel(str(socket)) as channel:
        await server.start()
        yield CustomersServiceStub(channel)
        await server.drain()


async def test_calls_that_wait_for_a_position_take_no_place_of_calls_that_do_not(
    bank: LedgerBank, customers: Running, small: CustomersServiceStub
) -> None:
    first, second, third = [await bank.open_holder() for _ in range(3)]

    def read(holder: Holder, position: int = 0) -> asyncio.Task[Any]:
        request = pb.GetBalanceRequest(
            account_id=str(holder.account_id), at_least_position=position
        )
        call = small.GetBalance(request, metadata=from_customer(holder.customer_id))
        return asyncio.ensure_future(call)

    waiting: list[asyncio.Task[Any]] = []
    for holder in (first, second):
        done, pending = await asyncio.wait(
            [read(holder, 1), read(holder, 1)], return_when=asyncio.FIRST_COMPLETED
        )
        assert len(pending) == 1, "one call of the customer waits"
        assert await refusal(done.pop()) == NOT_REACHED
        waiting += pending
    assert await refusal(read(third, 1)) == NOT_REACHED, "no place for a third call that waits"
    for _ in range(5):
        answers = await asyncio.gather(read(third), read(first))
        assert [answer.balance.position for answer in answers] == [0, 0]
    assert not any(call.done() for call in waiting)
    paid = [state.Balance(one.account_id, Money(700, "USD"), 1) for one in (first, second)]
    await customers.store.apply(paid)
    for answer in await asyncio.gather(*waiting):
        assert (answer.balance.ledger.minor_units, answer.balance.position) == (700, 1)
    freed = read(third, 1)
    await customers.store.apply([state.Balance(third.account_id, Money(5, "USD"), 1)])
    assert (await freed).balance.position == 1
