"""When Kafka fails under load, no event is lost and none has its effect twice."""

import asyncio
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer

from ops.judge.topics import Topics
from ops.waiting import scaled_s, until
from services.chassis import kafka
from services.contracts.topics import all_topics
from tests.chaos.stores.load import load
from tests.rigs import sample_events
from tests.rigs.host_speed import waited_out_s
from tests.rigs.running_bank import Bank

GROUPS = {
    "router": ("payments", "transfers", "auth-events", "mesh-events"),
    "customers": ("payments", "transfers"),
    "audit": ("audit-logs",),
    "notif": ("notifications",),
}
JOINS, HELD_MIN = 5, 2
"""How often an extra member joins each group, and how often it must get partitions."""
MESH = "mesh-config"
"""The subject of the events of the mesh's configuration."""
POISON = b"\xff\xffnot a message"


def _open_messages(bootstrap: str) -> int:
    topics = Topics(bootstrap)
    try:
        return topics.open_messages(topics.spans(["audit-logs", "notifications"]))
    finally:
        topics.close()


async def _stop_router_in_transaction(bank: Bank) -> None:
    """Stop the router with SIGSTOP, again and again, until it is in an open transaction."""
    bootstrap = bank.where["BP_KAFKA_BOOTSTRAP"]

    async def caught() -> bool:
        bank.stack.kill("router", signal.SIGSTOP)
        is_open = False
        try:
            # It must still be open at a second check, so that no commit is already on its way.
            looks = [await asyncio.to_thread(_open_messages, bootstrap) for _ in range(2)]
            is_open = min(looks) > 0
        finally:
            if not is_open:
                bank.stack.kill("router", signal.SIGCONT)
        return is_open

    await until(caught, 30, "the router is stopped within a transaction")


async def test_a_broker_killed_within_a_router_transaction_loses_and_doubles_nothing(
    bank: Bank,
) -> None:
    async with load(bank, payers=6) as paying:
        await _stop_router_in_transaction(bank)
        try:
            killed = await asyncio.to_thread(bank.stack.kill, "kafka")
        finally:
            bank.stack.kill("router", signal.SIGCONT)
        await paying.more(20)
        await asyncio.to_thread(bank.stack.wait_ready, "kafka", not_pid=killed)
    assert not paying.refusals, "customers must not notice that Kafka is down"
    await paying.assert_whole()


def _join_and_leave(bootstrap: str, group: str, stop: threading.Event) -> int:
    """Join a group, get partitions, do nothing and leave, several times. Return how many times it
    got partitions."""
    held, joins, topics = 0, 0, GROUPS[group]
    end = time.monotonic() + scaled_s(60)
    while joins < JOINS or (held < HELD_MIN and time.monotonic() < end and not stop.is_set()):
        joins += 1
        subscription = kafka.Subscription(bootstrap, group, f"intruder-{uuid.uuid4()}", topics)
        settings = kafka.consumer_settings(subscription, kafka.Health())
        member = Consumer(settings, logger=kafka.client_logger())
        member.subscribe(list(topics))
        deadline = time.monotonic() + waited_out_s(4)
        while not member.assignment() and time.monotonic() < deadline and not stop.is_set():
            member.poll(0.05)
        held += bool(member.assignment())
        member.close()
    return held


async def test_a_storm_of_rebalances_loses_and_doubles_nothing(bank: Bank) -> None:
    bootstrap, stop = bank.where["BP_KAFKA_BOOTSTRAP"], threading.Event()
    async with load(bank) as paying:
        try:
            held = await asyncio.gather(
                *(asyncio.to_thread(_join_and_leave, bootstrap, group, stop) for group in GROUPS)
            )
        finally:
            stop.set()
    assert min(held) >= HELD_MIN, f"too few joins got partitions: {held}"
    assert not paying.refusals
    await paying.assert_whole()


def _produce(bootstrap: str, topic: str, key: bytes, value: bytes) -> None:
    """Publish like the bank's producers, so that the key selects the same partition."""
    producer = Producer(kafka.producer_settings(bootstrap, "poisoner"))
    producer.produce(topic, key=key, value=value)
    assert producer.flush(scaled_s(20)) == 0


def _read(bootstrap: str, topic: str) -> list[kafka.Record]:
    topics = Topics(bootstrap)
    found: list[kafka.Record] = []
    try:
        topics.read(topics.spans([topic]), lambda seen: found.append(kafka.to_record(seen.message)))
    finally:
        topics.close()
    return found


POISONED = [
    # topic            groups that park it
    ("payments", {"[router]", "[customers]"}),
    ("transfers", {"[router]", "[customers]"}),
    ("auth-events", {"[router]"}),
    ("mesh-events", {"[router]"}),
    ("notifications", {"[notif]"}),
    ("audit-logs", {"[audit]"}),
]


async def test_a_bad_message_in_each_topic_is_parked_with_its_reason_and_later_events_are_processed(
    bank: Bank,
) -> None:
    bootstrap = bank.where["BP_KAFKA_BOOTSTRAP"]
    assert {topic for topic, _ in POISONED} == {each.name for each in all_topics()}
    ana, luis = await bank.customer(), await bank.customer()
    key = str(ana.account_id).encode()
    poison = {topic: POISON + uuid.uuid4().bytes for topic, _ in POISONED}
    for topic, value in poison.items():
        await asyncio.to_thread(_produce, bootstrap, topic, key, value)
    # These events follow in the same partitions, because they have the same account as key.
    behind = await _one_of_each_behind(bank, ana, luis)
    for topic, who in POISONED:

        async def parked(topic: str = topic, who: set[str] = who) -> bool:
            records = await asyncio.to_thread(_read, bootstrap, f"{topic}.dlq")
            mine = [record for record in records if record.value == poison[topic]]
            assert all(record.header("dlq-original-topic") == topic for record in mine)
            assert all(record.header("dlq-reason") for record in mine)
            return {one.header("dlq-error").partition(" ")[0] for one in mine} == who

        await until(parked, 30, f"{topic}.dlq has the poison from {who}")
    await until(behind, 30, "the events after the poison are recorded")
    await bank.pushed(ana)


async def _one_of_each_behind(bank: Bank, ana: Any, luis: Any) -> Callable[[], Any]:
    """Send one valid event to each topic. Return a condition: all are recorded."""
    paid = (await bank.pay(ana, 1_00)).body["transferId"]
    booked = (await bank.book(ana, luis, 1_00)).body["transferId"]
    event = sample_events.login("login_failed", str(ana.customer_id))
    await bank.rows(
        "bp_auth",
        "INSERT INTO auth.event (event_id, key, event_type, subject, payload)"
        " VALUES ($1, $2, 'bp.auth.v1.LoginFailed', $3, $4)",
        uuid.UUID(event.metadata.event_id),
        ana.account_id,
        ana.customer_id,
        event.SerializeToString(),
    )
    login = str(ana.customer_id)
    wanted = {paid: 2, booked: 1, login: 1}
    wanted[MESH] = (await _recorded(bank, [MESH])).get(MESH, 0) + 1
    _comment_on_the_mesh(bank)

    async def recorded() -> bool:
        return await _recorded(bank, list(wanted)) == wanted

    return recorded


async def _recorded(bank: Bank, subjects: list[str]) -> dict[str, int]:
    sql = "SELECT subject, count(*) AS n FROM audit.record WHERE subject = ANY($1) GROUP BY 1"
    return {row["subject"]: row["n"] for row in await bank.rows("bp_audit", sql, subjects)}


def _comment_on_the_mesh(bank: Bank) -> None:
    """Make a revision of the mesh's configuration that changes no proxy."""
    file = bank.stack.home.root / "mesh" / "config" / "mesh.yaml"
    draft = file.with_name(".mesh.yaml.new")
    draft.write_text(f"{file.read_text()}# {uuid.uuid4()}\n")
    draft.replace(file)


TORN = (
    b"\0" * 8  # an offset
    + (4096).to_bytes(4, "big")  # the length that the batch would have had
    + b"torn by a power cut"
)


def _tear(data: Path, topics: tuple[str, ...]) -> list[Path]:
    """Write the beginning of a batch to the end of each partition."""
    segments = [
        max(folder.glob("*.log")) for one in topics for folder in data.glob(f"{one}-[0-9]*")
    ]
    for segment in segments:
        with segment.open("ab") as out:
            out.write(TORN)
    return segments


async def test_an_unclean_restart_with_torn_writes_keeps_all_that_was_acknowledged(
    bank: Bank,
) -> None:
    data = bank.stack.home.data / "kafka"
    async with load(bank) as paying:
        await paying.more(10)
        # The stack stops Kafka with a kill, so Kafka writes nothing when it ends.
        await asyncio.to_thread(bank.stack.stop, "kafka")
        try:
            assert not (data / ".kafka_cleanshutdown").exists()
            torn = _tear(data, ("payments", "audit-logs", "notifications", "__consumer_offsets"))
            await paying.more(5)
        finally:
            await asyncio.to_thread(bank.stack.start, "kafka")
        await paying.more(5)
    assert len(torn) > 20
    assert not any(TORN in segment.read_bytes() for segment in torn if segment.exists())
    assert not paying.refusals
    await paying.assert_whole()


async def test_an_ordered_restart_under_load_leaves_no_transaction_undecided(bank: Bank) -> None:
    async with load(bank, payers=6) as paying:
        await paying.more(10)
        await asyncio.to_thread(bank.stack.restart, "kafka")
        await paying.more(10)
    assert not paying.refusals
    await paying.assert_whole(30)
