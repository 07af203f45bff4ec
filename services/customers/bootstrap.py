"""The wiring of the customers service; nothing else here."""

import asyncio

from bp.customers.v1 import customers_service_pb2
from google.protobuf.descriptor import ServiceDescriptor

from services.chassis import kafka
from services.chassis.grpc_server import Server
from services.chassis.page_tokens import PageTokens
from services.chassis.postgres import Database, connect, open_pool
from services.chassis.revocations import revocation_feed
from services.chassis.vault import open_vault
from services.chassis.wait_limit import WaitLimit
from services.customers import events_in
from services.customers.balance_waiters import BalanceWaiters
from services.customers.grpc_api import CustomersApi
from services.customers.handlers import Dependencies
from services.customers.settings import CustomersSettings
from services.customers.store import Store


def apis(deps: Dependencies) -> dict[ServiceDescriptor, object]:
    """Return the API objects under the services of the contract."""
    return {
        customers_service_pb2.DESCRIPTOR.services_by_name["CustomersService"]: CustomersApi(deps)
    }


async def main(settings: CustomersSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`; a background task that dies ends the process."""
    vault = await open_vault(settings)
    database = Database.from_secret(await vault.secret("database/postgres/customers"))
    tokens = PageTokens.of(await vault.secret("service/customers"))
    pool = await open_pool(database, "customers", settings.pool_connections)
    async with pool, revocation_feed(settings, vault) as feed:
        store = Store(pool)
        waiters = BalanceWaiters(store.positions, lambda: connect(database, "customers-waiters"))
        deps = Dependencies(settings, store, waiters, WaitLimit.of(settings), tokens)
        server = Server(settings, apis(deps), feed.revoked)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(vault.keep_alive()),
                tasks.create_task(feed.run()),
                tasks.create_task(waiters.run()),
            ]
            tasks.create_task(
                kafka.consume(events_in.subscription(settings), events_in.Projection(store), stop)
            )
            await server.start()
            await stop.wait()
            await server.drain()
            for task in background:
                task.cancel()
