"""A relay process that a test can kill; it differs from production only in the source of its
password."""

import asyncio
import json
import os
import sys

import asyncpg

from services.chassis import postgres
from services.chassis.grpc_server import run
from services.chassis.kafka import AckedProducer
from services.relay.metrics import Metrics
from services.relay.relay import Relay
from services.relay.settings import RelaySettings


async def main(settings: RelaySettings, stop: asyncio.Event) -> None:
    """Relay from the database that standard input names, until stopped."""
    database = postgres.Database(**json.loads(sys.stdin.readline()))

    async def connect() -> asyncpg.Connection:
        return await postgres.connect(database, "relay")

    producer = AckedProducer(settings.kafka_bootstrap, f"relay-{os.getpid()}")
    relaying = asyncio.create_task(Relay(settings, connect, producer, Metrics()).run())
    await stop.wait()
    relaying.cancel()
    producer.close()


if __name__ == "__main__":
    run(RelaySettings(), main)  # pyright: ignore[reportCallIssue, reportArgumentType]
