"""Helpers of the relay tests: append events, run relays, read the topics."""

import asyncio
import dataclasses
import json
import os
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from ops.waiting import scaled_s, until, until_true
from sandbox.stack.home import REPO
from services.kernel.ids import new_id, shard_of
from tests.rigs.sample_events import header_of
from tests.rigs.stores import KafkaStore, PostgresStore

APPEND = "SELECT outbox.append($1, $2, $3, 'bp.payments.v1.TransferDebited', $4, $5)"
DEBIT = """
SELECT outbox.append('payments', $1, $2, 'bp.payments.v1.TransferDebited', $3, '', NULL,
    ledger.debit_to_internal($4, 'TEST', $3, $1, 'USD', 1, 'ACH_CLEARING'))
"""


async def append(
    pool: asyncpg.Pool, topic: str, key: UUID | None = None, payload: bytes = b""
) -> UUID:
    """Append one event without a posting; return its id."""
    event_id = new_id()
    await pool.execute(APPEND, topic, key or new_id(), event_id, new_id(), payload)
    return event_id


async def debit(pool: asyncpg.Pool, account: UUID) -> UUID:
    """Debit one cent and append the event in the same transaction; return the event's id."""
    shard = shard_of(account)
    event_id = new_id(shard)
    await pool.execute(DEBIT, account, event_id, new_id(shard), new_id(shard))
    return event_id


async def until_drained(pool: asyncpg.Pool) -> None:
    """Wait until the outbox is empty."""

    async def drained() -> bool:
        return await pool.fetchval("SELECT NOT EXISTS (SELECT FROM outbox.event)")

    await until(drained, 60, "the outbox is empty")


class RelayProcess:
    """One relay process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def kill(self) -> None:
        """Kill the process with SIGKILL and wait until it ends."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def start_relay(
    postgres: PostgresStore, kafka: KafkaStore, log: Path, **knobs: str
) -> RelayProcess:
    """Start a relay as bp_relay."""
    kept = ("PATH", "COVERAGE_PROCESS_START")
    env = {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": f"{REPO}:{REPO / 'gen'}",
        "BP_SERVICE": "relay",
        "BP_HOME": str(log.parent),
        "BP_SOCKET_IN": str(log.parent / "unused.sock"),
        "BP_OPENBAO_ADDR": "http://unused.invalid",
        "BP_SERVICE_ACCOUNT_TOKEN_FILE": "/dev/null",
        "BP_KAFKA_BOOTSTRAP": kafka.bootstrap,
        **knobs,
    }
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.relay.process"),
            env=env,
            cwd=REPO,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
    assert process.stdin is not None
    database = dataclasses.asdict(postgres.database("bp_relay"))
    process.stdin.write(json.dumps(database).encode() + b"\n")
    await process.stdin.drain()
    return RelayProcess(process)


@asynccontextmanager
async def relaying(
    postgres: PostgresStore, kafka: KafkaStore, log: Path, **knobs: str
) -> AsyncGenerator[RelayProcess]:
    """Run a relay during the block."""
    relay = await start_relay(postgres, kafka, log, **knobs)
    try:
        yield relay
    finally:
        await relay.kill()


def header(message: Message, name: str) -> str:
    """Return one header's text."""
    return header_of(message, name).decode()


async def messages_of(kafka: KafkaStore, topic: str) -> list[Message]:
    """Return every message of a topic, partition by partition in order."""
    return await asyncio.to_thread(_messages_of, kafka.bootstrap, topic)


def _messages_of(bootstrap: str, topic: str) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"reader-{new_id()}"})
    try:
        partitions = consumer.list_topics(topic, timeout=scaled_s(10)).topics[topic].partitions
        wanted = 0
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition))
            wanted += high - low
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        found: list[Message] = []

        def all_read() -> bool:
            found.extend(consumer.consume(1000, 0.05))
            return len(found) >= wanted

        until_true(all_read, 30, f"all {wanted} messages of {topic} are read")
        return found
    finally:
        consumer.close()


def first_seen_by_key(messages: list[Message]) -> dict[str, list[str]]:
    """Return each key's event ids in the order of their first appearance."""
    order: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for message in messages:
        event_id = header(message, "ce_id")
        if event_id not in seen:
            seen.add(event_id)
            order[(message.key() or b"").decode()].append(event_id)
    return dict(order)
