"""Fixtures: the services customers and transfers in this process, over real stores.

The conftest of each folder that calls them imports them; each folder gets its own servers.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
import pytest_asyncio
from bp.customers.v1 import customers_service_pb2_grpc
from bp.transfers.v1 import transfers_service_pb2_grpc

from ops.waiting import scaled_s
from services.chassis.customers_client import CustomersClient
from services.chassis.grpc_server import Server
from services.chassis.page_tokens import PageTokens
from services.chassis.postgres import connect
from services.chassis.revocations import RevokedSessions
from services.chassis.wait_limit import WaitLimit
from services.customers import bootstrap as customers_bootstrap
from services.customers import handlers as customers_handlers
from services.customers.balance_waiters import BalanceWaiters
from services.customers.settings import CustomersSettings
from services.customers.store import Store as CustomersStore
from services.transfers import bootstrap as transfers_bootstrap
from services.transfers import handlers as transfers_handlers
from services.transfers.holders import HoldersClient
from services.transfers.settings import TransfersSettings
from services.transfers.store import Store as TransfersStore
from tests.rigs.host_speed import waited_out_s
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.services_in_process import Running, background, scaled_deadlines
from tests.rigs.sidecar_calls import certificate_of, open_channel
from tests.rigs.stores import KafkaStore, PostgresStore

CHECK_S: float = TransfersSettings.model_fields["check_timeout_s"].default
HOLDERS_S: float = TransfersSettings.model_fields["holders_timeout_s"].default


def _settings(folder: Path, service: str, kafka_bootstrap: str = "") -> dict[str, object]:
    return {
        "service": service,
        "home": folder,
        "socket_in": folder / "in.sock",
        "openbao_addr": "http://127.0.0.1:1",
        "service_account_token_file": Path("/dev/null"),
        "kafka_bootstrap": kafka_bootstrap,
    }


@pytest_asyncio.fixture(scope="session")
async def bank(postgres: PostgresStore) -> AsyncIterator[LedgerBank]:
    """Customers and books."""
    bank = LedgerBank(postgres)
    yield bank
    await bank.close()


@pytest_asyncio.fixture(scope="session")
async def customers(
    postgres: PostgresStore, kafka: KafkaStore, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """The customers service; tests that need its Kafka loop start it."""
    settings = CustomersSettings.model_validate(
        _settings(tmp_path_factory.mktemp("customers"), "customers", kafka.bootstrap)
        | {"position_wait_s": scaled_s(4)}
    )
    database = postgres.database("bp_customers", "bp_customers")
    pool = await postgres.pool("bp_customers", 8, "bp_customers")
    store = CustomersStore(pool)
    waiters = BalanceWaiters(store.positions, lambda: connect(database, "customers-waiters"))
    tokens = PageTokens(b"sealed by the tests")
    deps = customers_handlers.Dependencies(settings, store, waiters, WaitLimit.of(settings), tokens)
    with scaled_deadlines():
        server = Server(settings, customers_bootstrap.apis(deps), RevokedSessions())
    async with background(waiters.run()):
        await server.start()
        yield Running(settings, store)
        await server.drain()
    await pool.close()


@pytest_asyncio.fixture(scope="session")
async def transfers(
    postgres: PostgresStore, customers: Running, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """The transfers service, which calls customers."""
    settings = TransfersSettings.model_validate(
        _settings(tmp_path_factory.mktemp("transfers"), "transfers")
        | {"check_timeout_s": waited_out_s(CHECK_S)}
    )
    pool = await postgres.pool("bp_transfers")
    store = TransfersStore(pool)
    channel = open_channel(str(customers.settings.socket_in), certificate_of("transfers"))
    tokens = PageTokens(b"sealed by the tests")
    client = CustomersClient(channel, settings.check_timeout_s)
    holders = HoldersClient(channel, waited_out_s(HOLDERS_S))
    deps = transfers_handlers.Dependencies(settings, store, client, holders, tokens)
    with scaled_deadlines():
        server = Server(settings, transfers_bootstrap.apis(deps), RevokedSessions())
    await store.ensure_partitions()
    await server.start()
    yield Running(settings, store)
    await server.drain()
    await channel.close()
    await pool.close()


@pytest_asyncio.fixture(scope="session")
async def customers_channel(customers: Running) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to customers."""
    async with open_channel(str(customers.settings.socket_in)) as channel:
        yield channel


@pytest_asyncio.fixture(scope="session")
async def transfers_channel(transfers: Running) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to transfers."""
    async with open_channel(str(transfers.settings.socket_in)) as channel:
        yield channel


@pytest_asyncio.fixture(scope="session")
async def customers_stub(
    customers_channel: grpc.aio.Channel,
) -> customers_service_pb2_grpc.CustomersServiceStub:
    """The client of customers."""
    return customers_service_pb2_grpc.CustomersServiceStub(customers_channel)


@pytest_asyncio.fixture(scope="session")
async def transfers_stub(
    transfers_channel: grpc.aio.Channel,
) -> transfers_service_pb2_grpc.TransfersServiceStub:
    """The client of transfers."""
    return transfers_service_pb2_grpc.TransfersServiceStub(transfers_channel)
