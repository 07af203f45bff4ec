"""The wiring of the payments service; nothing else here."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from bp.payments.v1 import payments_service_pb2
from google.protobuf.descriptor import ServiceDescriptor

from services.chassis.batching import BatchLimits
from services.chassis.customers_client import CustomersClient
from services.chassis.grpc_client import channel_to
from services.chassis.grpc_server import Server
from services.chassis.http_client import partner_session
from services.chassis.page_tokens import PageTokens
from services.chassis.periodic import repeat
from services.chassis.postgres import Database, open_pool
from services.chassis.revocations import revocation_feed
from services.chassis.vault import open_vault
from services.chassis.wait_limit import WaitLimit
from services.payments import declines, notices, reconciliation, reviews, traces
from services.payments.checks import Limits
from services.payments.dependencies import Dependencies
from services.payments.driver import POLL_S, Driver
from services.payments.grpc_api import PaymentsApi
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from services.payments.settings import PaymentsSettings
from services.payments.store import Store
from services.payments.webhook_secrets import WebhookSecrets

MATCH_NOTICES_S = 5
SECRETS_S = 60
"""How often the secrets of the webhook are read again, so that a removed one becomes invalid."""
UPKEEP_S = 24 * 60 * 60
SAGAS_END_WITHIN_S = 3.0
"""How long running sagas may take after the last call, before other workers continue them."""


def apis(deps: Dependencies) -> dict[ServiceDescriptor, object]:
    """Return the API objects under the services of the contract."""
    return {payments_service_pb2.DESCRIPTOR.services_by_name["PaymentsService"]: PaymentsApi(deps)}


def _jobs(deps: Dependencies) -> list[tuple[str, Callable[[], Awaitable[None]], float]]:
    """Return the background jobs: name, function, and seconds between two runs."""
    matching = partial(notices.match_kept_notices, deps)
    giving_up = partial(notices.give_up_old_notices, deps)
    reconciling = partial(reconciliation.ask_for_unsettled, deps)
    returns = partial(reconciliation.ask_for_late_returns, deps)
    return [
        ("notices", matching, MATCH_NOTICES_S),
        ("old notices", giving_up, UPKEEP_S),
        ("unsettled", reconciling, reconciliation.EVERY_S),
        ("late returns", returns, reconciliation.EVERY_S),
        ("reviews", partial(reviews.take_up_decisions, deps), reviews.EVERY_S),
        ("secrets", deps.webhook_secrets.refresh, SECRETS_S),
        ("traces", deps.driver.traces.compare, traces.EVERY_S),
        ("further declines", deps.store.declines.report_further, declines.EVERY_S),
        ("partitions", deps.store.ensure_partitions, UPKEEP_S),
        ("old declines", deps.store.declines.drop_old, UPKEEP_S),
        ("old keys", deps.store.forget_keys, UPKEEP_S),
    ]


@asynccontextmanager
async def open_partners(
    settings: PaymentsSettings, ach_key: str, fraud_token: str
) -> AsyncGenerator[tuple[AchClient, FraudClient]]:
    """Open the clients of the partners, each with separate connections."""
    async with (
        partner_session(settings) as ach,
        partner_session(settings) as directory,
        partner_session(settings) as fraud,
    ):
        yield AchClient(ach, directory, ach_key), FraudClient(fraud, fraud_token)


async def main(settings: PaymentsSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`; a background task that dies ends the process."""
    vault = await open_vault(settings)
    database = Database.from_secret(await vault.secret("database/postgres/payments"))
    read_ach_secret = partial(vault.secret, "external/ach-network")
    ach_secret = await read_ach_secret()
    webhook_secrets = WebhookSecrets(ach_secret, read_ach_secret)
    fraud_token = (await vault.secret("external/fraud"))["bearer_token"]
    tokens = PageTokens.of(await vault.secret("service/payments"))
    pool = await open_pool(database, f"payments/{settings.slot}", settings.pool_connections)
    async with (
        pool,
        open_partners(settings, ach_secret["api_key"], fraud_token) as (ach, fraud),
        channel_to("customers", settings) as channel,
        revocation_feed(settings, vault) as feed,
    ):
        batch_limits = BatchLimits.of(settings)
        store = Store(pool, batch_limits)
        deps = Dependencies(
            settings=settings,
            store=store,
            driver=Driver(
                store,
                ach,
                f"payments/{settings.slot}",
                settings.settlement_wait_s,
                settings.return_wait_s,
            ),
            ach=ach,
            fraud=fraud,
            customers=CustomersClient(channel, settings.check_timeout_s, batch_limits),
            limits=Limits(settings.transfer_minor_units_max, settings.unscored_minor_units_max),
            waits=WaitLimit.of(settings),
            tokens=tokens,
            webhook_secrets=webhook_secrets,
        )
        server = Server(settings, apis(deps), feed.revoked)
        await server.start()
        async with asyncio.TaskGroup() as tasks:
            resuming = tasks.create_task(repeat("saga", deps.driver.resume, POLL_S))
            background = [
                *(tasks.create_task(repeat(*job)) for job in _jobs(deps)),
                *(tasks.create_task(each) for each in (vault.keep_alive(), feed.run())),
            ]
            await stop.wait()
            resuming.cancel()
            await server.drain()
            await deps.driver.drain(SAGAS_END_WITHIN_S)
            for task in background:
                task.cancel()
