"""The consumer on a real broker parks bad messages and retries during an outage."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from structlog.testing import capture_logs

from ops.waiting import scaled_s, until, until_true
from services.chassis import kafka as chassis_kafka
from services.chassis.kafka import BadMessage, DependencyDown, Record, client, loop
from tests.rigs import sample_events
from tests.rigs.stores import KafkaStore

PARTITIONS = 3
SECRET = "Luis Castro 021000021"

Judge = Callable[[Record], Exception | None]


@dataclass
class Group:
    """A consumer group with its own topic; the test decides when its handler fails."""

    bootstrap: str
    topic: str
    judge: Judge = lambda _: None
    done: list[bytes] = field(default_factory=list)
    calls: int = 0
    health: chassis_kafka.Health = field(default_factory=chassis_kafka.Health)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)

    async def handle(self, records: Sequence[Record]) -> None:
        self.calls += 1
        for record in records:
            error = self.judge(record)
            if error is not None:
                raise error
        self.done += [record.value for record in records]

    def start(self, member: str = "test-0") -> None:
        subscription = chassis_kafka.Subscription(
            self.bootstrap, f"group-{self.topic}", member, (self.topic,), batch_rows_max=64
        )
        self.tasks.append(
            asyncio.create_task(
                chassis_kafka.consume(subscription, self.handle, self.stop, self.health)
            )
        )

    def write(self, *values: bytes) -> None:
        pairs = [(b"key", value) for value in values]
        sample_events.write_raw(self.bootstrap, self.topic, pairs)

    async def until_done(self, *values: bytes) -> None:
        async def all_done() -> bool:
            return set(values) <= set(self.done)

        await until(all_done)

    def parked(self) -> list[tuple[bytes, bytes]]:
        found = sample_events.read_all(self.bootstrap, f"{self.topic}.dlq")
        return [(m.value() or b"", sample_events.header_of(m, "dlq-reason")) for m in found]

    def committed(self) -> list[int]:
        reader = Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"group-{self.topic}"})
        places = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
        with closing(reader):
            found = [place.offset for place in reader.committed(places, timeout=scaled_s(10))]
        return [offset for offset in found if offset > 0]

    async def end(self) -> None:
        self.stop.set()
        await asyncio.gather(*self.tasks)
        self.tasks.clear()
        self.stop.clear()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses of the loop, so that no test waits for them."""
    monkeypatch.setattr(client, "IDLE_WAIT_S", 0.05)
    monkeypatch.setattr(loop, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(loop, "COMMIT_AGAIN_S", 1.0)


@pytest_asyncio.fixture
async def group(kafka: KafkaStore) -> AsyncIterator[Group]:
    topic = f"topic-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    topics = [NewTopic(topic, PARTITIONS, 1), NewTopic(f"{topic}.dlq", 1, 1)]
    for made in admin.create_topics(topics).values():
        made.result(timeout=scaled_s(20))
    one = Group(kafka.bootstrap, topic)
    yield one
    await one.end()


def numbered(count: int) -> list[bytes]:
    return [f"value-{n:03d}".encode() for n in range(count)]


async def test_bad_messages_are_singled_out_of_their_batch_and_each_other_is_done_once_in_order(
    group: Group,
) -> None:
    values = numbered(200)
    bad = {values[0], values[77], values[78], values[199]}
    group.judge = lambda r: BadMessage("RULE_BROKEN", "detail") if r.value in bad else None
    group.write(*values)
    group.start()
    await group.until_done(*(v for v in values if v not in bad))
    await until(_value(lambda: group.health.parked == 4))
    assert group.done == [v for v in values if v not in bad]
    assert {v for v, _ in group.parked()} == bad
    assert {reason for _, reason in group.parked()} == {b"RULE_BROKEN"}


async def test_nothing_is_parked_while_a_dependency_is_down_and_all_is_done_when_it_is_back(
    group: Group,
) -> None:
    values = numbered(30)
    down: list[Exception] = [
        DependencyDown("partner"),
        ConnectionRefusedError("postgres"),
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.UndefinedTableError("not migrated yet"),
        TimeoutError(),
    ]
    group.judge = lambda _: down.pop() if down else None
    group.write(*values)
    group.start()
    await group.until_done(*values)
    assert group.done == values
    assert group.parked() == []
    assert group.health.up


async def test_a_defect_is_tried_again_and_then_parked(group: Group) -> None:
    values = numbered(4)
    group.judge = lambda r: KeyError(SECRET) if r.value == values[2] else None
    group.write(*values)
    with capture_logs() as logs:
        group.start()
        await group.until_done(values[0], values[1], values[3])
        await until(_value(lambda: group.health.parked == 1))
    assert group.parked() == [(values[2], b"DEFECT")]
    found = sample_events.read_all(group.bootstrap, f"{group.topic}.dlq")
    errors = [sample_events.header_of(one, "dlq-error") for one in found]
    assert errors == [f"[group-{group.topic}] KeyError".encode()]
    traces = [one["exception"] for one in logs if one["event"] in {"kafka.retry", "kafka.parked"}]
    assert traces
    assert all(trace.endswith("\nKeyError") for trace in traces)
    assert not any(SECRET in str(one) for one in logs)


async def test_the_offsets_are_committed_between_defects_after_some_time(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 defects took 700 s in one batch: the partition was lost, and the batch came again."""
    monkeypatch.setattr(loop, "SETTLE_S_MAX", 0.0)
    values = numbered(4)
    committed: dict[bytes, int] = {}

    def judge(record: Record) -> Exception | None:
        if record.value not in committed:
            committed[record.value] = sum(group.committed())
        return BadMessage("RULE_BROKEN") if record.value in values[1:] else None

    group.judge = judge
    group.write(*values)
    group.start()
    await until(_value(lambda: group.health.parked == 3))
    assert [committed[value] for value in values[1:]] == [0, 2, 3]
    assert [value for value, _ in group.parked()] == values[1:]
    assert group.done == values[:1]


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CharacterNotInRepertoireError("a NUL"),
        asyncpg.CheckViolationError("a rule"),
        asyncpg.ProgramLimitExceededError("too large for an index"),
        asyncpg.RaiseError("a function of ours"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_message_that_postgresql_refuses_is_parked_and_not_retried(
    group: Group, error: Exception
) -> None:
    values = numbered(3)
    group.judge = lambda r: error if r.value == values[1] else None
    group.write(*values)
    group.start()
    await group.until_done(values[0], values[2])
    await until(_value(lambda: group.health.parked == 1))
    assert group.parked() == [(values[1], b"DEFECT")]


async def test_a_bad_message_of_the_largest_size_delays_no_later_message(
    group: Group,
) -> None:
    """With the dead-letter headers, the message would exceed Kafka's size limit."""
    values = [b"\xff" * 999_900, *numbered(1)]
    group.judge = lambda r: BadMessage("RULE_BROKEN") if r.value == values[0] else None
    group.write(*values)
    group.start()
    await group.until_done(values[1])
    assert group.parked() == [(b"", b"RULE_BROKEN")]


async def test_a_passing_defect_is_not_parked(group: Group) -> None:
    values = numbered(1)
    failures = [RuntimeError("first"), RuntimeError("second")]
    group.judge = lambda _: failures.pop() if failures else None
    group.write(*values)
    group.start()
    await group.until_done(*values)
    assert group.parked() == []


async def test_work_done_before_a_restart_is_not_repeated(group: Group) -> None:
    values = numbered(50)
    group.write(*values[:25])
    group.start()
    await group.until_done(*values[:25])
    await group.end()
    group.write(*values[25:])
    group.start()
    await group.until_done(*values)
    assert group.done == values


async def test_offsets_that_could_not_be_committed_are_committed_later(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No further records arrived, so the offsets stayed behind until the next restart."""
    failures = [KafkaException(KafkaError(KafkaError._TIMED_OUT))]

    class Hindered(Consumer):
        def commit(self, *args: Any, **kwargs: Any) -> Any:
            if failures:
                raise failures.pop()
            return super().commit(*args, **kwargs)

    monkeypatch.setattr(loop, "Consumer", Hindered)
    values = numbered(5)
    group.write(*values)
    group.start()
    await group.until_done(*values)

    async def committed() -> bool:
        return sum(group.committed()) == len(values)

    await until(committed)
    assert not failures


async def test_two_members_share_the_partitions_and_nothing_is_done_twice(group: Group) -> None:
    values = numbered(300)
    pairs = [(value, value) for value in values]
    group.start("test-0")
    sample_events.write_raw(group.bootstrap, group.topic, pairs[:150])
    await group.until_done(*values[:150])
    group.start("test-1")
    sample_events.write_raw(group.bootstrap, group.topic, pairs[150:])
    await group.until_done(*values)
    assert sorted(group.done) == values


class Reader(Consumer):
    """A member whose first read gets a record and whose second read lasts until it loses a
    partition."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__(_member(bootstrap, topic, "mine"))
        self.has_read = Event()
        self.left: set[chassis_kafka.Place] = set()
        self.subscribe([topic], on_revoke=self._note, on_lost=self._note)

    def _note(self, _: Consumer, places: list[TopicPartition]) -> None:
        self.left.update((place.topic, place.partition) for place in places)

    def consume(self, *args: Any, **kwargs: Any) -> Any:
        if self.has_read.is_set():
            return self._until_one_leaves()
        found = super().consume(*args, **kwargs)
        if found:
            self.has_read.set()
        return found

    def _until_one_leaves(self) -> list[Message]:
        found: list[Message] = []
        until_true(lambda: (found.extend(super(Reader, self).consume(1, 0.1)), self.left)[1])
        return found


def _member(bootstrap: str, topic: str, name: str) -> dict[str, Any]:
    """Return the settings of a member of the group that reads a topic."""
    subscription = chassis_kafka.Subscription(bootstrap, topic, name, (topic,))
    return chassis_kafka.consumer_settings(subscription, chassis_kafka.Health())


def _join_behind(first: Reader, topic: str, heir: Consumer) -> None:
    """Join a group as soon as its first member has read a record."""
    assert first.has_read.wait(scaled_s(30)), "the record is read"
    heir.subscribe([topic])
    until_true(lambda: (heir.consume(1, 0.1), heir.assignment())[1])


@pytest.mark.parametrize("number", range(2))
def test_a_batch_holds_nothing_of_a_partition_that_left_while_it_was_read(
    kafka: KafkaStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The new owner read the record too, so the router wrote it twice."""
    monkeypatch.setattr(client, "IDLE_WAIT_S", scaled_s(20))
    topic = f"topic-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(timeout=scaled_s(20))
    of_heir = _member(kafka.bootstrap, topic, "heir")
    with closing(Reader(kafka.bootstrap, topic)) as mine, closing(Consumer(of_heir)) as heir:
        until_true(lambda: (mine.poll(0.1), len(mine.assignment()) == 2)[1])
        producer = Producer(chassis_kafka.producer_settings(kafka.bootstrap, "test"))
        producer.produce(topic, value=b"value", partition=number)
        assert producer.flush(scaled_s(20)) == 0
        with ThreadPoolExecutor(1) as threads:
            joined = threads.submit(_join_behind, mine, topic, heir)
            batch = chassis_kafka.take(mine, 100, mine.left)
            until_true(lambda: (mine.poll(0.1), joined.done())[1])
            joined.result()
        kept = {place.partition for place in mine.assignment()}
        assert len(kept) == 1
        assert [m.partition() for m in batch] == [n for n in kept if n == number]


def test_a_batch_has_the_messages_of_a_partition_that_was_revoked_and_assigned_again(
    kafka: KafkaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member rejoins and reads within one call, so no other member reads the record."""
    monkeypatch.setattr(client, "IDLE_WAIT_S", scaled_s(20))
    topic = f"topic-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(timeout=scaled_s(20))
    left: set[chassis_kafka.Place] = set()

    def revoked(_: Consumer, places: list[TopicPartition]) -> None:
        left.update((place.topic, place.partition) for place in places)

    subscription = chassis_kafka.Subscription(kafka.bootstrap, topic, "mine", (topic,))
    settings = chassis_kafka.consumer_settings(subscription, chassis_kafka.Health())
    settings |= {"max.poll.interval.ms": settings["session.timeout.ms"]}
    with closing(Consumer(settings)) as consumer:
        consumer.subscribe([topic], on_revoke=revoked, on_lost=revoked)
        until_true(lambda: (consumer.consume(1, 0.1), consumer.assignment())[1])
        until_true(lambda: not _members(admin, topic))
        sample_events.write_raw(kafka.bootstrap, topic, [(b"key", b"value")])
        (outside,) = chassis_kafka.take(consumer, 1, left)
        assert outside.error(), "the member was outside its group"
        batch = chassis_kafka.take(consumer, 100, left)
        assert [m.value() for m in batch] == [b"value"]


def _members(admin: AdminClient, group: str) -> list[Any]:
    return admin.describe_consumer_groups([group])[group].result(timeout=scaled_s(20)).members


def _value(condition: Callable[[], bool]):
    async def holds() -> bool:
        return condition()

    return holds
