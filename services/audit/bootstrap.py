"""The only wiring of audit: secrets, pool, consumer and server."""

import asyncio
import hashlib

import asyncpg
import structlog
from bp.audit.v1 import audit_service_pb2

from services.audit.events_in import Recorder, subscription
from services.audit.grpc_api import AuditApi
from services.audit.settings import Settings
from services.audit.store import Store
from services.chassis import kafka, postgres
from services.chassis.grpc_server import Server
from services.chassis.page_tokens import PageTokens
from services.chassis.vault import open_vault

SERVICE = audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"]
PARTITIONS_S = 24 * 3600
PARTITIONS_RETRY_S = 60

log = structlog.get_logger()


async def _keep_partitions(store: Store, months_ahead: int) -> None:
    """Make the coming months' partitions, daily; without them records go to the catch-all."""
    while True:
        wait_s = PARTITIONS_S
        try:
            await store.ensure_partitions(months_ahead)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("audit.partitions_failed", error=str(error))
            wait_s = PARTITIONS_RETRY_S
        await asyncio.sleep(wait_s)


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Record until `stop` is set."""
    vault = await open_vault(settings)
    database = postgres.Database.from_secret(await vault.secret("database/postgres/audit"))
    tokens = PageTokens(hashlib.sha256(f"page-tokens\0{database.password}".encode()).digest())
    name = f"audit/{settings.slot}"
    async with await postgres.open_pool(database, name, settings.pool_size) as pool:
        store = Store(pool)
        server = Server(settings, {SERVICE: AuditApi(store, tokens)})
        await server.start()
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(
                kafka.consume(subscription(settings), Recorder(store).record, stop)
            )
            background = [
                group.create_task(_keep_partitions(store, settings.partitions_ahead_months)),
                group.create_task(vault.keep_alive()),
            ]
            await stop.wait()
            await server.drain()
            await recording
            for task in background:
                task.cancel()
