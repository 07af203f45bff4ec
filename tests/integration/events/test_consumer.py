"""The consuming loop on a real broker: what is bad is parked, what is down is waited for."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest_asyncio
from confluent_kafka.admin import AdminClient, NewTopic

from services.chassis import kafka as chassis_kafka
from services.chassis.kafka import BadMessage, DependencyDown, Record
from tests.integration.events import samples
from tests.integration.stores import KafkaStore

Judge = Callable[[Record], Exception | None]


@dataclass
class Group:
    """A group over a topic of its own, whose handler fails as a test wants."""

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
        samples.write_raw(self.bootstrap, self.topic, pairs)

    async def until_done(self, *values: bytes) -> None:
        async def all_done() -> bool:
            return set(values) <= set(self.done)

        await samples.eventually(all_done)

    def parked(self) -> list[tuple[bytes | None, bytes]]:
        found = samples.read_all(self.bootstrap, f"{self.topic}.dlq")
        return [(m.value(), dict(m.headers() or ())["dlq-reason"]) for m in found]

    async def end(self) -> None:
        self.stop.set()
        await asyncio.gather(*self.tasks)
        self.tasks.clear()
        self.stop.clear()


@pytest_asyncio.fixture
async def group(kafka: KafkaStore) -> AsyncIterator[Group]:
    topic = f"topic-{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    topics = [NewTopic(topic, 3, 1), NewTopic(f"{topic}.dlq", 1, 1)]
    for made in admin.create_topics(topics).values():
        made.result(timeout=20)
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
    await samples.eventually(_value(lambda: group.health.parked == 4))
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
    group.judge = lambda r: KeyError("defect") if r.value == values[2] else None
    group.write(*values)
    group.start()
    await group.until_done(values[0], values[1], values[3])
    await samples.eventually(_value(lambda: group.health.parked == 1))
    assert group.parked() == [(values[2], b"DEFECT")]


async def test_a_passing_defect_is_not_parked(group: Group) -> None:
    values = numbered(1)
    failures = [RuntimeError("first"), RuntimeError("second")]
    group.judge = lambda _: failures.pop() if failures else None
    group.write(*values)
    group.start()
    await group.until_done(*values)
    assert group.parked() == []


async def test_what_was_done_before_a_restart_is_not_done_again(group: Group) -> None:
    values = numbered(50)
    group.write(*values[:25])
    group.start()
    await group.until_done(*values[:25])
    await group.end()
    group.write(*values[25:])
    group.start()
    await group.until_done(*values)
    assert group.done == values


async def test_two_members_share_the_partitions_and_nothing_is_done_twice(group: Group) -> None:
    values = numbered(300)
    pairs = [(value, value) for value in values]
    group.start("test-0")
    samples.write_raw(group.bootstrap, group.topic, pairs[:150])
    await group.until_done(*values[:150])
    group.start("test-1")
    samples.write_raw(group.bootstrap, group.topic, pairs[150:])
    await group.until_done(*values)
    assert sorted(group.done) == values


def _value(condition: Callable[[], bool]):
    async def holds() -> bool:
        return condition()

    return holds
