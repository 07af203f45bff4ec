"""A publisher process that a test can kill; it differs from production only in the source of its
password."""

import asyncio
import json
import os
import sys

from services.auth.publisher import Publisher
from services.auth.settings import AuthSettings
from services.chassis import postgres
from services.chassis.grpc_server import run
from services.chassis.kafka import AckedProducer


async def main(settings: AuthSettings, stop: asyncio.Event) -> None:
    """Publish from the database that standard input names, until stopped."""
    database = postgres.Database(**json.loads(sys.stdin.readline()))
    producer = AckedProducer(settings.kafka_bootstrap, f"auth-{os.getpid()}")
    async with await postgres.open_pool(database, "publisher", 2) as pool:
        publishing = asyncio.create_task(Publisher(pool, producer).run())
        await stop.wait()
        publishing.cancel()
    producer.close()


if __name__ == "__main__":
    run(AuthSettings(), main)  # pyright: ignore[reportCallIssue, reportArgumentType]
