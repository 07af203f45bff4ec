"""The only wiring of notifications: secrets, pool, push client, sender, consumer and server."""

import asyncio
import json
from functools import partial

import structlog
from bp.notifications.v1 import notifications_service_pb2

from services.chassis import kafka, postgres
from services.chassis.grpc_client import channel_to
from services.chassis.grpc_server import Server
from services.chassis.http_client import partner_session
from services.chassis.page_tokens import PageTokens
from services.chassis.periodic import repeat
from services.chassis.revocations import revocation_feed
from services.chassis.vault import open_vault
from services.notifications.events_in import Requests, subscription
from services.notifications.grpc_api import NotificationsApi
from services.notifications.handlers import Dependencies
from services.notifications.languages import CustomersLanguages
from services.notifications.partners import AccessTokens, PushClient
from services.notifications.sender import Sender
from services.notifications.settings import NotificationsSettings
from services.notifications.store import Store

SERVICE = notifications_service_pb2.DESCRIPTOR.services_by_name["NotificationsService"]
PARTITIONS_S = 24 * 3600
DRAIN_S = 5
"""How long pushes in flight may take after SIGTERM; the others are sent after their lease ends."""

log = structlog.get_logger()


async def main(settings: NotificationsSettings, stop: asyncio.Event) -> None:
    """Send notifications until `stop` is set."""
    vault = await open_vault(settings)
    database = postgres.Database.from_secret(await vault.secret("database/postgres/notifications"))
    push_secret = await vault.secret("external/fcm")
    tokens = PageTokens.of(await vault.secret("service/notifications"))
    name = f"notifications/{settings.slot}"
    pool = await postgres.open_pool(database, name, settings.pool_connections)
    async with (
        pool,
        partner_session(settings) as session,
        channel_to("customers", settings) as channel,
        revocation_feed(settings, vault) as feed,
    ):
        access = AccessTokens(session, json.loads(push_secret["service_account"]))
        store = Store(pool)
        partitions = partial(store.ensure_partitions, settings.partitions_ahead_months)
        sender = Sender(store, PushClient(session, access, push_secret["project_id"]), settings)
        requests = Requests(store, sender, CustomersLanguages(channel).of, settings)
        api = NotificationsApi(Dependencies(store, tokens))
        server = Server(settings, {SERVICE: api}, feed.revoked)
        await server.start()
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(kafka.consume(subscription(settings), requests.ask, stop))
            background = [
                group.create_task(sender.run()),
                group.create_task(repeat("partitions", partitions, PARTITIONS_S)),
                group.create_task(vault.keep_alive()),
                group.create_task(feed.run()),
            ]
            await stop.wait()
            await server.drain()
            await asking
            try:
                await asyncio.wait_for(sender.drain(), DRAIN_S)
            except TimeoutError:
                log.warning("notifications.drain_ended", note="the rest is sent after its lease")
            for task in background:
                task.cancel()
