"""A record is kept until every group that reads the topic has read it."""

import uuid
from collections.abc import Iterable
from contextlib import closing
from datetime import timedelta

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from structlog.testing import capture_logs

from ops.waiting import scaled_s
from services.chassis.kafka import Trimmer, producer_settings
from services.contracts.topics import Topic
from services.kernel.clock import utc_now
from tests.rigs.stores import KafkaStore

OLD, YOUNG = timedelta(days=30), timedelta(days=1)
MARGIN = timedelta(days=7)
UNREAD, WAITS = "kafka.unread_records", "kafka.trimming_waits"


@pytest.fixture
def topic(kafka: KafkaStore) -> Topic:
    """A topic that two groups read."""
    name = f"kept-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    kept = {"retention.ms": "-1"}
    for made in admin.create_topics([NewTopic(name, 2, 1, config=kept)]).values():
        made.result(timeout=scaled_s(20))
    return Topic(name, 2, (f"fast-{name}", f"slow-{name}"))


def write(
    kafka: KafkaStore, topic: Topic, number: int, ages: Iterable[timedelta], **settings: str
) -> None:
    """Write a record of each age to a partition; with a `transactional.id` in one transaction."""
    producer = Producer(producer_settings(kafka.bootstrap, "test") | settings)
    if settings:
        producer.init_transactions(scaled_s(30))
        producer.begin_transaction()
    for age in ages:
        time_ms = int((utc_now() - age).timestamp() * 1000)
        producer.produce(topic.name, value=b"event", partition=number, timestamp=time_ms)
    if settings:
        producer.commit_transaction(scaled_s(30))
    assert producer.flush(scaled_s(30)) == 0


def commit(kafka: KafkaStore, group: str, topic: Topic, number: int, end: int) -> None:
    """Commit that a group has read a partition up to an offset."""
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group})
    with closing(reader):
        place = TopicPartition(topic.name, number, end)
        reader.commit(offsets=[place], asynchronous=False)


def first_offset(kafka: KafkaStore, topic: Topic, number: int) -> int:
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "test"})
    with closing(reader):
        return reader.get_watermark_offsets(TopicPartition(topic.name, number), scaled_s(10))[0]


async def test_the_group_that_is_furthest_behind_keeps_the_records(
    kafka: KafkaStore, topic: Topic
) -> None:
    fast, slow = topic.reader_groups
    trimmer = Trimmer(kafka.bootstrap, MARGIN)
    write(kafka, topic, 0, [OLD] * 10)
    commit(kafka, fast, topic, 0, 10)
    assert await trimmer.trim([topic]) == {}, "the slow group has read nothing"
    commit(kafka, slow, topic, 0, 4)
    with capture_logs() as logs:
        assert await trimmer.trim([topic]) == {(topic.name, 0): 4}
    assert first_offset(kafka, topic, 0) == 4
    (unread,) = [line for line in logs if line["event"] == UNREAD]
    assert (unread["group"], unread["partition"], unread["offset"]) == (slow, 0, 4)
    assert unread["age_s"] >= OLD.total_seconds()
    commit(kafka, slow, topic, 0, 10)
    with capture_logs() as logs:
        assert await trimmer.trim([topic]) == {(topic.name, 0): 10}
    assert first_offset(kafka, topic, 0) == 10
    assert not [line for line in logs if line["event"] == UNREAD]


async def test_offsets_past_the_end_of_a_partition_release_no_record(
    kafka: KafkaStore, topic: Topic
) -> None:
    """A partition that was restored from an older copy gives new records the offsets of lost ones,
    which every group had committed."""
    for group in topic.reader_groups:
        commit(kafka, group, topic, 0, 500)
    write(kafka, topic, 0, [OLD] * 10)
    with capture_logs() as logs:
        assert await Trimmer(kafka.bootstrap, MARGIN).trim([topic]) == {}
    assert first_offset(kafka, topic, 0) == 0
    past = [line["group"] for line in logs if line["event"] == "kafka.commit_past_the_end"]
    assert past == [*topic.reader_groups]


async def test_a_record_that_every_group_has_read_stays_for_the_margin(
    kafka: KafkaStore, topic: Topic
) -> None:
    write(kafka, topic, 0, [OLD, OLD, YOUNG, YOUNG])
    for group in topic.reader_groups:
        commit(kafka, group, topic, 0, 4)
    assert await Trimmer(kafka.bootstrap, MARGIN).trim([topic]) == {(topic.name, 0): 2}
    assert await Trimmer(kafka.bootstrap, MARGIN).trim([topic]) == {}


async def test_a_partition_that_fails_stops_no_other(kafka: KafkaStore, topic: Topic) -> None:
    write(kafka, topic, 1, [OLD] * 3)
    for group in topic.reader_groups:
        commit(kafka, group, topic, 1, 3)
    with capture_logs() as logs:
        changed = await Trimmer(kafka.bootstrap, MARGIN).trim([topic], {7: 3, 1: 2})
    assert changed == {(topic.name, 1): 2}
    assert [line["partition"] for line in logs if line["event"] == WAITS] == [7]


async def test_the_marker_of_a_transaction_is_no_unread_record(
    kafka: KafkaStore, topic: Topic
) -> None:
    write(kafka, topic, 0, [OLD] * 3, **{"transactional.id": topic.name})
    for group in topic.reader_groups:
        commit(kafka, group, topic, 0, 3)
    with capture_logs() as logs:
        assert await Trimmer(kafka.bootstrap, MARGIN).trim([topic]) == {(topic.name, 0): 3}
    assert not [line for line in logs if line["event"] == UNREAD]
