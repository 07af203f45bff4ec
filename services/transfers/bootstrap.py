"""The wiring of the transfers service; nothing else here."""

import asyncio

from bp.transfers.v1 import transfers_service_pb2
from google.protobuf.descriptor import ServiceDescriptor

from services.chassis.batching import BatchLimits
from services.chassis.customers_client import CustomersClient
from services.chassis.grpc_client import channel_to
from services.chassis.grpc_server import Server
from services.chassis.page_tokens import PageTokens
from services.chassis.periodic import repeat
from services.chassis.postgres import Database, open_pool
from services.chassis.revocations import revocation_feed
from services.chassis.vault import open_vault
from services.transfers.grpc_api import TransfersApi
from services.transfers.handlers import Dependencies
from services.transfers.holders import HoldersClient
from services.transfers.settings import TransfersSettings
from services.transfers.store import Store

UPKEEP_S = 24 * 60 * 60


def apis(deps: Dependencies) -> dict[ServiceDescriptor, object]:
    """Return the API objects under the services of the contract."""
    return {
        transfers_service_pb2.DESCRIPTOR.services_by_name["TransfersService"]: TransfersApi(deps)
    }


async def main(settings: TransfersSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`; a background task that dies ends the process."""
    vault = await open_vault(settings)
    database = Database.from_secret(await vault.secret("database/postgres/transfers"))
    tokens = PageTokens.of(await vault.secret("service/transfers"))
    pool = await open_pool(database, "transfers", settings.pool_connections)
    async with (
        pool,
        channel_to("customers", settings) as channel,
        revocation_feed(settings, vault) as feed,
    ):
        batch_limits = BatchLimits.of(settings)
        store = Store(pool, batch_limits)
        customers = CustomersClient(channel, settings.check_timeout_s, batch_limits)
        holders = HoldersClient(channel, settings.holders_timeout_s)
        deps = Dependencies(settings, store, customers, holders, tokens)
        server = Server(settings, apis(deps), feed.revoked)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(vault.keep_alive()),
                tasks.create_task(feed.run()),
                tasks.create_task(repeat("partitions", store.ensure_partitions, UPKEEP_S)),
                tasks.create_task(repeat("old keys", store.forget_keys, UPKEEP_S)),
                tasks.create_task(repeat("old declines", store.drop_old_declines, UPKEEP_S)),
            ]
            await server.start()
            await stop.wait()
            await server.drain()
            for task in background:
                task.cancel()
