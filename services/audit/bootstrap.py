"""The only wiring of audit: secrets, pool, consumer and server."""

import asyncio
from datetime import timedelta
from functools import partial

import structlog
from bp.audit.v1 import audit_service_pb2

from services.audit.events_in import Recorder, subscription
from services.audit.grpc_api import AuditApi
from services.audit.handlers import Dependencies
from services.audit.head_files import HeadFiles
from services.audit.notary import Notary
from services.audit.retention import LogTrimmer
from services.audit.settings import AuditSettings
from services.audit.signing import Signer
from services.audit.store import Store
from services.chassis import kafka, postgres
from services.chassis.grpc_server import Server
from services.chassis.page_tokens import PageTokens
from services.chassis.periodic import repeat
from services.chassis.vault import open_vault

SERVICE = audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"]
PARTITIONS_S = 24 * 3600
TRIM_S = 3600

log = structlog.get_logger()


async def main(settings: AuditSettings, stop: asyncio.Event) -> None:
    """Record until `stop` is set."""
    vault = await open_vault(settings)
    database = postgres.Database.from_secret(await vault.secret("database/postgres/audit"))
    tokens = PageTokens.of(await vault.secret("service/audit"))
    name = f"audit/{settings.slot}"
    async with await postgres.open_pool(database, name, settings.pool_connections) as pool:
        store = Store(pool)
        partitions = partial(store.ensure_partitions, settings.partitions_ahead_months)
        server = Server(settings, {SERVICE: AuditApi(Dependencies(store, tokens))})
        await server.start()
        heads = HeadFiles(settings.heads)
        signer = Signer(store, heads, Notary(vault))
        margin = timedelta(days=settings.topic_margin_days)
        trimmer = LogTrimmer(settings.kafka_bootstrap, heads, margin)
        listening = partial(postgres.connect, database, f"{name}/signing")
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(
                kafka.consume(subscription(settings), Recorder(store).record, stop)
            )
            background = [
                group.create_task(repeat("partitions", partitions, PARTITIONS_S)),
                group.create_task(signer.run(listening, settings.sign_s)),
                group.create_task(repeat("trimming", trimmer.trim, TRIM_S)),
                group.create_task(vault.keep_alive()),
            ]
            await stop.wait()
            await server.drain()
            await recording
            for task in background:
                task.cancel()
