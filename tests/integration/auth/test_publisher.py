"""Events arrive in Kafka at least once and in order, also when publishers are killed."""

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from bp.auth.v1.auth_events_pb2 import AuthEvent
from confluent_kafka import Message

from ops.waiting import until
from sandbox.stack.home import REPO
from services.auth import events_out
from services.auth.publisher import Publisher
from services.auth.state import Factor
from services.auth.store import Store
from services.chassis.kafka import AckedProducer
from services.kernel.ids import new_id
from tests.integration.auth.conftest import User, log_in, origin
from tests.integration.relay.outbox import header, messages_of
from tests.rigs.stores import KafkaStore, PostgresStore

LEASE_END = "UPDATE auth.publisher SET lease_until = now()"
WAITING = "SELECT count(*) FROM auth.event WHERE publish_time IS NULL AND park_reason IS NULL"


def _event(customer_id: object, number: int = 0) -> events_out.Prepared:
    return events_out.login_locked(origin(), customer_id, Factor.PASSWORD, "DEVICE", number)  # pyright: ignore


async def _of(kafka: KafkaStore, key: object) -> list[Message]:
    """The messages of one key, in their order."""
    found = await messages_of(kafka, events_out.TOPIC)
    return [message for message in found if message.key() == str(key).encode()]


async def _drained(pool: asyncpg.Pool) -> None:
    async def empty() -> bool:
        return await pool.fetchval(WAITING) == 0

    await until(empty, 60, "every event is published")


@asynccontextmanager
async def _process(
    postgres: PostgresStore, kafka: KafkaStore, log: Path
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run one publisher; a process that still runs at the end is killed."""
    kept = ("PATH", "COVERAGE_PROCESS_START")
    env = {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": f"{REPO}:{REPO / 'gen'}",
        "BP_HOME": str(log.parent),
        "BP_SOCKET_IN": str(log.parent / "unused.sock"),
        "BP_OPENBAO_ADDR": "http://unused.invalid",
        "BP_SERVICE_ACCOUNT_TOKEN_FILE": "/dev/null",
        "BP_KAFKA_BOOTSTRAP": kafka.bootstrap,
    }
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.auth.publisher_process"),
            env=env,
            cwd=REPO,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
    assert process.stdin is not None
    database = dataclasses.asdict(postgres.database("bp_auth", "bp_auth"))
    process.stdin.write(json.dumps(database).encode() + b"\n")
    await process.stdin.drain()
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_an_event_arrives_with_its_headers_and_is_marked(
    kafka: KafkaStore, pool: asyncpg.Pool, store: Store, user: User
) -> None:
    device_id, session_id = new_id(), new_id()
    began = events_out.Origin("request-7", "00-" + "a" * 32 + "-" + "b" * 16 + "-01", origin().time)
    event = events_out.login_succeeded(
        began, user.customer_id, session_id, device_id, [Factor.PASSWORD, Factor.SMS_CODE]
    )
    await log_in(store, user, events=[event])
    await pool.execute(LEASE_END)
    producer = AckedProducer(kafka.bootstrap, "test")
    publisher = Publisher(pool, producer)
    try:
        # The events of earlier tests wait before this one.
        while await pool.fetchval(WAITING):
            assert await publisher.publish_batch()
    finally:
        producer.close()
    (message,) = await _of(kafka, user.customer_id)
    assert header(message, "ce_id") == str(event.event_id)
    assert header(message, "ce_type") == "bp.auth.v1.LoginSucceeded"
    assert header(message, "ce_source") == "/bp/auth-events"
    assert header(message, "ce_subject") == str(user.customer_id)
    assert header(message, "traceparent") == began.traceparent
    value = message.value()
    assert value is not None
    metadata = AuthEvent.FromString(value).metadata
    assert (metadata.event_id, metadata.correlation_id, metadata.customer_id) == (
        str(event.event_id),
        "request-7",
        str(user.customer_id),
    )
    assert await pool.fetchval(WAITING) == 0


async def test_one_process_has_the_lease_at_a_time(
    kafka: KafkaStore, pool: asyncpg.Pool, store: Store, user: User
) -> None:
    producer = AckedProducer(kafka.bootstrap, "test")
    first, second = Publisher(pool, producer), Publisher(pool, producer)
    try:
        await pool.execute(LEASE_END)
        await store.append([_event(user.customer_id)])
        assert await first.publish_batch()
        await store.append([_event(user.customer_id)])
        assert not await second.publish_batch()
        assert await first.publish_batch()
    finally:
        producer.close()
    assert len(await _of(kafka, user.customer_id)) == 2


async def test_killed_publishers_lose_no_event_and_keep_the_order(
    kafka: KafkaStore,
    postgres: PostgresStore,
    pool: asyncpg.Pool,
    store: Store,
    user: User,
    tmp_path: Path,
) -> None:
    await pool.execute(LEASE_END)
    wanted: list[str] = []
    for kill in range(3):
        async with _process(postgres, kafka, tmp_path / "publisher.log"):
            events = [_event(user.customer_id, kill * 500 + n) for n in range(500)]
            wanted += [str(event.event_id) for event in events]
            await store.append(events)

            async def some_sent() -> bool:
                return await pool.fetchval(WAITING) < 500

            await until(some_sent, 60, "some events are published")
    async with _process(postgres, kafka, tmp_path / "publisher.log"):
        await _drained(pool)
    seen = dict.fromkeys(header(m, "ce_id") for m in await _of(kafka, user.customer_id))
    assert list(seen) == wanted
