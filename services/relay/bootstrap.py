"""The only wiring of the relay: loop, upkeep, metrics and graceful shutdown."""

import asyncio
from contextlib import suppress

import asyncpg

from services.chassis import postgres
from services.chassis.grpc_server import Server
from services.chassis.kafka import AckedProducer
from services.chassis.periodic import repeat
from services.chassis.vault import Vault, open_vault
from services.relay import metrics
from services.relay.relay import Relay
from services.relay.settings import RelaySettings
from services.relay.upkeep import Upkeep

DRAIN_S = 5
"""How long a batch in flight may take after SIGTERM; unfinished events are sent again later."""


async def _database(vault: Vault, settings: RelaySettings) -> postgres.Database:
    secret = await vault.secret(f"database/postgres/{settings.service}")
    return postgres.Database.from_secret(secret)


async def main(settings: RelaySettings, stop: asyncio.Event) -> None:
    """Run the relay, its upkeep and its metrics until `stop` is set."""
    vault = await open_vault(settings)

    async def connect() -> asyncpg.Connection:
        # Read the secret at each connect: the password may have been rotated since the last one.
        return await postgres.connect(await _database(vault, settings), "relay")

    measured = metrics.Metrics()
    producer = AckedProducer(settings.kafka_bootstrap, f"relay-{settings.slot}")
    pool = await postgres.open_pool(await _database(vault, settings), "relay-upkeep", 1)
    upkeep = Upkeep(pool, measured, settings.relay_upkeep_s)
    await upkeep.ensure_partitions()
    metrics_page = await metrics.serve(measured, settings.socket_in.with_suffix(".metrics.sock"))
    server = Server(settings, {})
    await server.start()
    relay = Relay(settings, connect, producer, measured)
    freeing = repeat(
        "notifications", upkeep.free_notifications, settings.relay_free_notifications_s
    )
    steps = (relay.run(), upkeep.run(), freeing, vault.keep_alive())
    tasks = [asyncio.create_task(step) for step in steps]
    stopped = asyncio.create_task(stop.wait())
    # A task ends only because of a defect: stop, so that the supervisor restarts us.
    ended, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
    await server.drain()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=DRAIN_S)
    producer.close()
    pool.terminate()
    await metrics_page.cleanup()
    for task in ended - {stopped}:
        with suppress(asyncio.CancelledError):
            task.result()
