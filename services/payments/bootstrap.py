"""The only wiring of payments: secrets, pool, clients, server and background work."""

import asyncio
from functools import partial
from pathlib import Path

from bp.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from bp.payments.v1 import payments_service_pb2

from services.chassis import postgres
from services.chassis.batching import BatchLimits
from services.chassis.grpc_client import channel_to
from services.chassis.grpc_server import Server
from services.chassis.http_client import partner_session
from services.chassis.page_tokens import PageTokens
from services.chassis.periodic import repeat
from services.chassis.vault import open_vault
from services.payments import handlers, reconciliation
from services.payments.checks import Limits
from services.payments.customers import CustomersClient
from services.payments.driver import POLL_S, Driver
from services.payments.grpc_api import PaymentsApi
from services.payments.handlers import Dependencies
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from services.payments.settings import PaymentsSettings
from services.payments.store import Store

SERVICE = payments_service_pb2.DESCRIPTOR.services_by_name["PaymentsService"]
MATCH_NOTICES_S = 5
PARTITIONS_S = 24 * 3600


async def main(settings: PaymentsSettings, stop: asyncio.Event) -> None:
    """Run payments until `stop` is set."""
    vault = await open_vault(settings)
    database = postgres.Database.from_secret(await vault.secret("database/postgres/payments"))
    ach_secret = await vault.secret("external/ach-network")
    fraud_secret = await vault.secret("external/fraud")
    page_key = await vault.secret("service/payments")
    queries = postgres.load_queries(Path(__file__).with_name("sql") / "queries.sql")
    pool = await postgres.open_pool(
        database, f"payments/{settings.slot}", settings.pool_connections
    )
    async with (
        pool,
        partner_session(settings) as session,
        channel_to("customers", settings) as channel,
    ):
        batch_limits = BatchLimits.of(settings)
        store = Store(pool, queries, batch_limits)
        ach = AchClient(session, ach_secret["api_key"])
        deps = Dependencies(
            store=store,
            driver=Driver(store, ach, f"payments/{settings.slot}", settings.settlement_wait_s),
            ach=ach,
            fraud=FraudClient(session, fraud_secret["bearer_token"]),
            ask_account=CustomersClient(CustomersServiceStub(channel), batch_limits).account,
            limits=Limits(settings.transfer_minor_units_max, settings.unscored_minor_units_max),
            tokens=PageTokens.of(page_key),
            wait_s=settings.answer_wait_s,
        )
        api = PaymentsApi(deps, ach_secret["webhook_secret"].encode())
        server = Server(settings, {SERVICE: api})
        matching = partial(handlers.match_kept_notices, deps)
        reconciling = partial(reconciliation.ask_for_unsettled, deps)
        await server.start()
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(repeat("saga", deps.driver.resume, POLL_S)),
                group.create_task(repeat("notices", matching, MATCH_NOTICES_S)),
                group.create_task(repeat("unsettled", reconciling, reconciliation.EVERY_S)),
                group.create_task(repeat("partitions", store.ensure_partitions, PARTITIONS_S)),
                group.create_task(vault.keep_alive()),
            ]
            await stop.wait()
            await server.drain()
            for task in background:
                task.cancel()
