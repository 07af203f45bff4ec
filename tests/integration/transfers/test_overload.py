"""A process serves a limited number of calls at once and tells the others to retry."""

import asyncio

import grpc
import pytest
from bp.transfers.v1.transfers_service_pb2_grpc import TransfersServiceStub

from ops.waiting import until
from services.chassis.customers_client import CustomersClient
from services.chassis.grpc_server import Server
from services.chassis.page_tokens import PageTokens
from services.chassis.revocations import RevokedSessions
from services.transfers import bootstrap
from services.transfers.handlers import Dependencies
from services.transfers.holders import HoldersClient
from tests.rigs.book_transfer_calls import new_key, order
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.services_in_process import Running, scaled_deadlines
from tests.rigs.sidecar_calls import certificate_of, from_customer, open_channel, refusal

WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def test_a_call_beyond_the_limit_is_told_to_retry_and_the_first_one_ends(
    bank: LedgerBank,
    customers: Running,
    transfers: Running,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    socket = tmp_path_factory.mktemp("o") / "in.sock"
    settings = transfers.settings.model_copy(update={"socket_in": socket, "calls_max": 1})
    asking = open_channel(str(customers.settings.socket_in), certificate_of("transfers"))
    client = CustomersClient(asking, settings.check_timeout_s)
    holders = HoldersClient(asking, settings.holders_timeout_s)
    tokens = PageTokens(b"sealed by the test")
    deps = Dependencies(settings, transfers.store, client, holders, tokens)
    with scaled_deadlines():
        server = Server(settings, bootstrap.apis(deps), RevokedSessions())
    await server.start()
    stub = TransfersServiceStub(open_channel(str(socket)))
    payer, payee = await bank.open_holder(1_000), await bank.open_holder()
    holder = await bank.postgres.session("postgres", "bp_customers")
    looker = await bank.superuser("bp_customers")

    def call() -> grpc.aio.UnaryUnaryCall:
        return stub.CreateBookTransfer(
            order(payer.account_id, payee.account_id, 100),
            metadata=from_customer(payer.customer_id, new_key()),
        )

    async def waits() -> bool:
        return bool(await looker.fetchval(WAITS))

    async with holder.transaction():
        await holder.execute("LOCK TABLE customers.account IN ACCESS EXCLUSIVE MODE")
        first = asyncio.ensure_future(call())
        await until(waits, 10, "the first call waits")
        assert await refusal(call()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    await holder.close()
    await first
    await call()
    assert await bank.held(payer.account_id) == (800, 3)
    await server.drain()
