"""The wiring of the transfers service; nothing else here."""

import asyncio
import hashlib

from bp.transfers.v1 import transfers_service_pb2
from google.protobuf.descriptor import ServiceDescriptor

from services.chassis.grpc_client import channel_to
from services.chassis.grpc_server import Server
from services.chassis.page_tokens import PageTokens
from services.chassis.postgres import Database, open_pool
from services.chassis.vault import open_vault
from services.transfers.accounts import Accounts
from services.transfers.grpc_api import TransfersApi
from services.transfers.handlers import Desk
from services.transfers.settings import TransfersSettings
from services.transfers.store import Store

UPKEEP_S = 24 * 60 * 60


def page_tokens(database: Database) -> PageTokens:
    """Return the tokens' seal, the same in every worker; a new password ends open pages."""
    return PageTokens(hashlib.sha256(f"page-tokens\0{database.password}".encode()).digest())


def apis(desk: Desk) -> dict[ServiceDescriptor, object]:
    """Return the API objects under the services of the contract."""
    return {
        transfers_service_pb2.DESCRIPTOR.services_by_name["TransfersService"]: TransfersApi(desk)
    }


async def _keep_partitions(store: Store) -> None:
    while True:
        await store.ensure_partitions()
        await asyncio.sleep(UPKEEP_S)


async def main(settings: TransfersSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`; a background task that dies ends the process."""
    vault = await open_vault(settings)
    database = Database.from_secret(await vault.secret("database/postgres/transfers"))
    pool = await open_pool(database, "transfers", settings.pool_size)
    channel = channel_to("customers", settings)
    store = Store(pool)
    accounts = Accounts(channel, settings.check_timeout_s)
    server = Server(settings, apis(Desk(settings, store, accounts, page_tokens(database))))
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(vault.keep_alive()),
            tasks.create_task(_keep_partitions(store)),
        ]
        await server.start()
        await stop.wait()
        await server.drain()
        for task in background:
            task.cancel()
    await channel.close()
    await pool.close()
