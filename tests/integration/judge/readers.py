"""Everything downstream of the Write DB, in this process: relay, router and the three readers."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from services.audit.events_in import Recorder
from services.audit.events_in import subscription as audit_subscription
from services.audit.settings import AuditSettings
from services.audit.store import Store as AuditStore
from services.chassis import kafka, postgres
from services.chassis.http_client import partner_session
from services.customers import events_in as projection
from services.customers.settings import CustomersSettings
from services.customers.store import Store as CustomersStore
from services.notifications.events_in import Requests
from services.notifications.events_in import subscription as notif_subscription
from services.notifications.sender import Sender
from services.notifications.settings import NotificationsSettings
from services.notifications.store import Store as NotificationsStore
from services.relay.metrics import Metrics
from services.relay.relay import Relay
from services.relay.settings import RelaySettings
from services.router.pipe import Pipe
from services.router.settings import RouterSettings
from tests.integration.judge.partners import PushService
from tests.rigs.stores import KafkaStore, PostgresStore

READERS = {"audit": "bp_audit", "customers": "bp_customers", "notifications": "bp_notifications"}


@asynccontextmanager
async def readers(
    cluster: PostgresStore, broker: KafkaStore, push: PushService
) -> AsyncGenerator[None]:
    """Run them all while the body runs, then stop them gracefully."""
    stop, routing = asyncio.Event(), threading.Event()
    pools = {
        name: await cluster.pool(f"bp_{name}", 2, database) for name, database in READERS.items()
    }
    relay_database = cluster.database("bp_relay")

    async def connect() -> asyncpg.Connection:
        return await postgres.connect(relay_database, "test-relay")

    producer = kafka.AckedProducer(broker.bootstrap, "test-relay")
    relay_settings = RelaySettings.model_validate(_shared("relay", broker))
    relaying = asyncio.create_task(Relay(relay_settings, connect, producer, Metrics()).run())
    pipe = Pipe(RouterSettings.model_validate(_shared("router", broker)), routing, kafka.Health())
    ending = [
        asyncio.create_task(asyncio.to_thread(pipe.run)),
        *(asyncio.create_task(work) for work in _groups(pools, broker, stop)),
    ]
    notifying = asyncio.create_task(_notify(pools, broker, push, stop))
    try:
        yield
    finally:
        relaying.cancel()
        routing.set()
        stop.set()
        await asyncio.gather(*ending)
        notifying.cancel()
        await asyncio.gather(relaying, notifying, return_exceptions=True)
        producer.close()
        for pool in pools.values():
            await pool.close()


def _shared(service: str, broker: KafkaStore, **more: Any) -> dict[str, Any]:
    nowhere = Path("/nowhere")
    return {
        "service": service,
        "home": nowhere,
        "socket_in": nowhere,
        "openbao_addr": "",
        "service_account_token_file": nowhere,
        "kafka_bootstrap": broker.bootstrap,
        **more,
    }


def _groups(pools: dict[str, asyncpg.Pool], broker: KafkaStore, stop: asyncio.Event) -> list[Any]:
    audit = AuditSettings.model_validate(_shared("audit", broker))
    customers = CustomersSettings.model_validate(_shared("customers", broker))
    recorder = Recorder(AuditStore(pools["audit"]))
    balances = projection.Projection(CustomersStore(pools["customers"]))
    return [
        kafka.consume(audit_subscription(audit), recorder.record, stop),
        kafka.consume(projection.subscription(customers), balances, stop),
    ]


async def _notify(
    pools: dict[str, asyncpg.Pool], broker: KafkaStore, push: PushService, stop: asyncio.Event
) -> None:
    shared = _shared("notifications", broker, socket_out=push.socket)
    settings = NotificationsSettings.model_validate(shared)
    store = NotificationsStore(pools["notifications"])
    languages = CustomersStore(pools["customers"])
    async with partner_session(settings) as session:
        sender = Sender(store, push.client(session), settings)
        requests = Requests(store, sender, languages.locales, settings)
        async with asyncio.TaskGroup() as group:
            group.create_task(sender.run())
            group.create_task(kafka.consume(notif_subscription(settings), requests.ask, stop))
