"""Topics keep every event until it is read; audit-logs until it is recorded and signed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from bp.event.v1 import topics_pb2
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from ops.provision import topics
from ops.waiting import scaled_s, until
from sandbox.stack.parts import kafka as kafka_part
from services.audit.head_files import HeadFiles
from services.audit.heads import Signed, encode
from services.audit.retention import LogTrimmer
from services.audit.settings import CHAINS, TOPIC
from services.chassis.kafka import producer_settings
from services.contracts.topics import all_topics, topic
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.integration.audit.rig import Audit, audit_event, chain_of, recorded, running_audit
from tests.rigs.router_process import RouterProcess
from tests.rigs.stores import (
    KafkaStore,
    OpenBaoStore,
    PostgresStore,
    kafka_store,
    openbao_store,
    postgres_store,
)

KEY = b"one account"
OLD = timedelta(days=30)
CONTROL = "control"
"""A topic that keeps its messages for the broker's retention, seven days."""


@pytest.fixture(scope="module")
def eager() -> Iterator[None]:
    """Let Kafka apply the retention of its topics every second instead of every 5 minutes."""
    often = "log.retention.check.interval.ms=1000\nlog.initial.task.delay.ms=500\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka_part, "CONFIGURATION", kafka_part.CONFIGURATION + often)
        yield


@pytest_asyncio.fixture(scope="module")
async def stores(
    eager: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[PostgresStore, OpenBaoStore, KafkaStore]]:
    """A separate log, because its offsets belong to the eager Kafka, and an OpenBao that knows no
    signed head of another log.
    """
    folder = tmp_path_factory.mktemp
    async with AsyncExitStack() as opened:
        yield await asyncio.gather(
            opened.enter_async_context(postgres_store(folder("pg"))),
            opened.enter_async_context(openbao_store(folder("openbao"))),
            opened.enter_async_context(kafka_store(folder("kafka"))),
        )


@pytest.fixture(scope="module")
def postgres(stores: tuple[PostgresStore, OpenBaoStore, KafkaStore]) -> PostgresStore:
    return stores[0]


@pytest.fixture(scope="module")
def openbao(stores: tuple[PostgresStore, OpenBaoStore, KafkaStore]) -> OpenBaoStore:
    return stores[1]


@pytest.fixture(scope="module")
def kafka(stores: tuple[PostgresStore, OpenBaoStore, KafkaStore]) -> KafkaStore:
    return stores[2]


@pytest_asyncio.fixture(scope="module")
async def audit(
    kafka: KafkaStore,
    postgres: PostgresStore,
    openbao: OpenBaoStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Audit]:
    """The audit service, which reads the eager Kafka; it is stopped until a test starts it."""
    folder = tmp_path_factory.mktemp("audit")
    async with running_audit(kafka, postgres, openbao, folder) as one:
        await one.end()
        yield one


def write(kafka: KafkaStore, topic: str, ids: list[str], age: timedelta) -> None:
    """Write events that Kafka has held for `age`."""
    time_ms = int((utc_now() - age).timestamp() * 1000)
    producer = Producer(producer_settings(kafka.bootstrap, "test"))
    for one in ids:
        value = audit_event(one).SerializeToString()
        producer.produce(topic, value=value, key=KEY, timestamp=time_ms)
    assert producer.flush(scaled_s(30)) == 0


def spans(kafka: KafkaStore, topic: str, partitions: int) -> dict[int, tuple[int, int]]:
    """Return the first and end offsets of the partitions that were ever written."""
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "test"})
    try:
        found = {
            number: reader.get_watermark_offsets(TopicPartition(topic, number), scaled_s(10))
            for number in range(partitions)
        }
    finally:
        reader.close()
    return {number: span for number, span in found.items() if span[1]}


def new_ids(count: int) -> list[str]:
    return [str(new_id()) for _ in range(count)]


async def test_events_outlive_an_outage_of_a_reader_that_is_longer_than_any_retention(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    ids = new_ids(20)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for made in admin.create_topics([NewTopic(CONTROL, 1)]).values():
        made.result()
    write(kafka, TOPIC, ids, OLD)
    others = [each.name for each in all_topics() if each.name != TOPIC]
    for name in (*others, CONTROL):
        write(kafka, name, new_ids(20), OLD)

    async def control_expired() -> bool:
        return all(low == high for low, high in spans(kafka, CONTROL, 1).values())

    await until(control_expired, 60, "Kafka applies its retention")
    for name in (TOPIC, *others):
        partitions = topics.partitions()[name]
        assert [low for low, _ in spans(kafka, name, partitions).values()] == [0], name
    audit.start()
    await recorded(audit_owner, ids, 20)
    await audit.end()


async def test_only_events_that_are_committed_signed_and_old_are_deleted(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    trimmer = LogTrimmer(kafka.bootstrap, audit.heads, timedelta(days=7))
    signed, unsigned, young, waiting = (new_ids(5) for _ in range(4))
    write(kafka, TOPIC, signed, OLD)
    audit.start()
    await recorded(audit_owner, signed, 5)
    assert await trimmer.trim() == {}, "nothing was signed"
    last = await audit.sign()
    write(kafka, TOPIC, unsigned, OLD)
    await recorded(audit_owner, unsigned, 5)
    await audit.end()
    chain = await chain_of(audit_owner, signed[0])
    head = last.statement.head(chain)
    assert head is not None
    assert await trimmer.trim() == {chain: head.log_offset + 1}, "the signed events"
    assert spans(kafka, TOPIC, CHAINS)[chain][0] == head.log_offset + 1
    # Events that are not committed stay, and so do young ones.
    write(kafka, TOPIC, young, timedelta(days=1))
    audit.start()
    await recorded(audit_owner, young, 5)
    await audit.end()
    await audit.sign()
    write(kafka, TOPIC, waiting, OLD)
    assert await trimmer.trim() == {chain: head.log_offset + 6}, "all but the young and later ones"
    assert await trimmer.trim() == {}
    assert (await audit.verified()).findings == []


async def test_a_partition_that_kafka_does_not_know_stops_no_other(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection, tmp_path: Path
) -> None:
    ids = new_ids(5)
    write(kafka, TOPIC, ids, OLD)
    audit.start()
    await recorded(audit_owner, ids, 5)
    await audit.end()
    signed = await audit.sign()
    chain = await chain_of(audit_owner, ids[0])
    head = signed.statement.head(chain)
    assert head is not None
    heads = tuple(replace(head, chain=number) for number in (CHAINS + 1, chain))
    unknown = HeadFiles(tmp_path)
    statement = replace(signed.statement, heads=heads)
    unknown.append(Signed(statement, encode(statement), signed.signature))
    trimmer = LogTrimmer(kafka.bootstrap, unknown, timedelta())
    assert await trimmer.trim() == {chain: head.log_offset + 1}


async def test_a_topic_of_an_earlier_version_deletes_nothing_by_age_either(
    kafka: KafkaStore,
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    former = ConfigEntry("retention.ms", "604800000", incremental_operation=AlterConfigOpType.SET)
    places = [
        ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[former])
        for name in (TOPIC, "payments", "transfers")
    ]
    for changed in admin.incremental_alter_configs(places).values():
        changed.result()
    await topics.create(kafka.bootstrap)
    for name in topics.partitions():
        described = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)])
        (settings,) = (future.result() for future in described.values())
        assert settings["retention.ms"].value == "-1", name


async def test_a_router_deletes_what_every_group_of_a_topic_has_read(
    kafka: KafkaStore, tmp_path: Path
) -> None:
    write(kafka, "payments", new_ids(3), OLD)
    read = spans(kafka, "payments", 6)
    assert any(low < high for low, high in read.values())
    for group in topic(topics_pb2.PAYMENTS).reader_groups:
        with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})) as reader:
            ends = [TopicPartition("payments", number, end) for number, (_, end) in read.items()]
            reader.commit(offsets=ends, asynchronous=False)
    router = RouterProcess(kafka.bootstrap, tmp_path)
    router.start()
    try:

        async def deleted() -> bool:
            return all(low == high for low, high in spans(kafka, "payments", 6).values())

        await until(deleted, 60, "the router deletes the records that were read")
    finally:
        assert router.stop() == 0
