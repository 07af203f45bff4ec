"""The router writes exactly once after any crash, and a bad message does not stop it."""

import asyncio
import json
import random
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from bp.audit.v1.audit_events_pb2 import AuditEvent
from bp.notifications.v1.notification_pb2 import Template
from bp.notifications.v1.notifications_events_pb2 import NotificationEvent
from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, Message
from confluent_kafka.admin import AdminClient

from ops.waiting import scaled_s, until_true
from services.chassis.kafka.membership import EXIT_STUCK
from services.router.settings import GROUP, SOURCES
from tests.rigs import sample_events
from tests.rigs.router_process import RouterProcess
from tests.rigs.stores import KafkaStore

LOOK_S = 0.5
"""Each poll reads whole topics, so frequent polls would slow the broker on a slow host."""

REQUESTED = b"bp.notifications.v1.NotificationRequested"


@pytest.fixture
def routers(kafka: KafkaStore, tmp_path: Path) -> Iterator[list[RouterProcess]]:
    both = [RouterProcess(kafka.bootstrap, tmp_path, slot) for slot in ("0", "1")]
    yield both
    for one in both:
        if one.process is not None and one.process.poll() is None:
            one.stop()


def _written(kafka: KafkaStore, topic: str, wanted: set[str]) -> list[Message]:
    """Return the topic's messages of the wanted events; messages of other tests are not parsed."""
    messages = sample_events.read_all(kafka.bootstrap, topic)
    return [m for m in messages if _header(m, "ce_id").decode().split("/")[0] in wanted]


def _audited(kafka: KafkaStore, wanted: set[str]) -> Counter[bytes]:
    return Counter(_header(m, "ce_id") for m in _written(kafka, "audit-logs", wanted))


def _notified(kafka: KafkaStore, wanted: set[str]) -> Counter[bytes]:
    return Counter(_header(m, "ce_id") for m in _written(kafka, "notifications", wanted))


def _progressed(kafka: KafkaStore, wanted: set[str], count: int) -> bool:
    return len(_audited(kafka, wanted)) >= count


def _has_a_steady_group(kafka: KafkaStore) -> bool:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    try:
        group = admin.describe_consumer_groups([GROUP], request_timeout=scaled_s(5))[GROUP].result()
    except KafkaException:
        return False
    return group.state is ConsumerGroupState.STABLE and len(group.members) == 1


def _header(message: Message, name: str) -> bytes:
    value = dict(message.headers() or ()).get(name)
    return value if isinstance(value, bytes) else b""


def test_every_event_is_audited_completely_and_customers_are_notified_by_the_table(
    kafka: KafkaStore, routers: list[RouterProcess]
) -> None:
    routers[0].start()
    debited, failed, booked = (
        sample_events.payment("transfer_debited"),
        sample_events.payment("transfer_failed"),
        sample_events.book_transfer(),
    )
    sample_events.write(kafka.bootstrap, "payments", [debited, failed])
    sample_events.write(kafka.bootstrap, "transfers", [booked])
    wanted = {e.metadata.event_id for e in (debited, failed, booked)}
    until_true(lambda: len(_audited(kafka, wanted)) == 3)

    audited = {
        event.event_id: (event, message)
        for message in _written(kafka, "audit-logs", wanted)
        for event in (AuditEvent.FromString(message.value() or b""),)
    }
    event, message = audited[failed.metadata.event_id]
    assert event.payload == failed.SerializeToString()
    assert event.event_type == "bp.payments.v1.TransferFailed"
    assert message.key() == failed.transfer_failed.transfer.account_id.encode()
    assert _header(message, "ce_id") == failed.metadata.event_id.encode()
    assert _header(message, "traceparent") == sample_events.headers_of(failed)[-1][1]

    told = {
        (event.metadata.event_id, event.notification_requested.template)
        for message in _written(kafka, "notifications", wanted)
        for event in (NotificationEvent.FromString(message.value() or b""),)
    }
    assert told == {
        (failed.metadata.event_id, Template.TRANSFER_FAILED),
        (booked.metadata.event_id, Template.TRANSFER_SENT),
        (f"{booked.metadata.event_id}/received", Template.TRANSFER_RECEIVED),
    }


def test_every_event_about_logins_is_audited_and_two_locks_of_a_day_are_one_message(
    kafka: KafkaStore, routers: list[RouterProcess]
) -> None:
    routers[0].start()
    customer, at = str(uuid.uuid4()), datetime(2026, 7, 4, 12, tzinfo=UTC)
    events = {fact: sample_events.login(fact, customer, at) for fact in sample_events.LOGINS}
    again = sample_events.login("login_locked", customer, at + timedelta(minutes=15))
    stranger = sample_events.login("login_failed", customer_id="")
    written = [*events.values(), again, stranger]
    sample_events.write(kafka.bootstrap, "auth-events", written)
    wanted = {event.metadata.event_id for event in written}
    until_true(lambda: len(_audited(kafka, wanted)) == len(wanted))

    audited = {
        event.event_id: event
        for message in _written(kafka, "audit-logs", wanted)
        for event in (AuditEvent.FromString(message.value() or b""),)
    }
    assert {event_id: event.payload for event_id, event in audited.items()} == {
        event.metadata.event_id: event.SerializeToString() for event in written
    }
    assert {event.subject for event in audited.values()} == {
        customer,
        stranger.metadata.aggregate_id,
    }
    told = [
        event
        for message in sample_events.read_all(kafka.bootstrap, "notifications")
        # Other tests write values that are no events.
        if ("ce_type", REQUESTED) in (message.headers() or ())
        for event in (NotificationEvent.FromString(message.value() or b""),)
        if event.metadata.causation_id in wanted
    ]
    assert Counter(event.notification_requested.template for event in told) == {
        Template.NEW_DEVICE: 1,
        Template.LOGIN_LOCKED: 2,
        Template.TOKEN_REUSED: 1,
        Template.PASSWORD_CHANGED: 1,
        Template.FACTOR_ADDED: 1,
        Template.FACTOR_REMOVED: 1,
    }
    assert {event.metadata.customer_id for event in told} == {customer}
    assert len({event.metadata.event_id for event in told}) == len(told) - 1


def test_a_bad_message_goes_to_the_dlq_with_its_reason_and_the_group_continues(
    kafka: KafkaStore, routers: list[RouterProcess]
) -> None:
    routers[0].start()
    before, after = sample_events.payment(), sample_events.payment()
    poison = b"\xff not an envelope"
    sample_events.write(kafka.bootstrap, "payments", [before, poison, after])
    wanted = {before.metadata.event_id, after.metadata.event_id}
    until_true(lambda: len(_audited(kafka, wanted)) == 2)
    parked = [
        message
        for message in sample_events.read_all(kafka.bootstrap, "payments.dlq")
        if message.value() == poison
    ]
    assert len(parked) == 1
    assert _header(parked[0], "dlq-reason") == b"UNDECODABLE"
    assert _header(parked[0], "dlq-original-topic") == b"payments"
    assert int(_header(parked[0], "dlq-original-offset")) >= 0
    written = (routers[0].home / f"router-{routers[0].slot}.log").read_text()
    told = [json.loads(line) for line in written.splitlines() if "router.parked" in line]
    assert "UNDECODABLE" in {line["reason"] for line in told}


def test_an_event_too_large_for_the_log_delays_no_later_event(
    kafka: KafkaStore, routers: list[RouterProcess]
) -> None:
    """With its envelope the message exceeded Kafka's size limit, so its batch was aborted
    forever."""
    routers[0].start()
    after = sample_events.payment("transfer_debited")
    key = after.transfer_debited.transfer.account_id.encode()
    large = sample_events.payment("transfer_debited")
    large.metadata.correlation_id = "x" * 999_500
    sample_events.write_raw(kafka.bootstrap, "payments", [(key, large.SerializeToString())])
    sample_events.write(kafka.bootstrap, "payments", [after])
    until_true(lambda: _audited(kafka, {after.metadata.event_id}))
    parked = sample_events.read_all(kafka.bootstrap, "payments.dlq")
    too_large = [m for m in parked if _header(m, "dlq-reason") == b"TOO_LARGE"]
    assert [_header(m, "dlq-original-topic") for m in too_large] == [b"payments"]


async def test_no_event_is_lost_or_doubled_when_the_broker_is_killed(
    kafka: KafkaStore, routers: list[RouterProcess]
) -> None:
    routers[0].start()
    first, second = ([sample_events.payment() for _ in range(300)] for _ in range(2))
    wanted = {e.metadata.event_id for e in (*first, *second)}
    # In threads, because the loop of this test restarts the broker.
    await asyncio.to_thread(sample_events.write, kafka.bootstrap, "payments", first)
    begun = partial(_progressed, kafka, wanted, 1)
    await asyncio.to_thread(until_true, begun)
    kafka.runner.kill(signal.SIGKILL)
    await asyncio.to_thread(sample_events.write, kafka.bootstrap, "payments", second)

    def complete() -> bool:
        routers[0].restart_if_stuck()
        return _progressed(kafka, wanted, len(wanted))

    await asyncio.to_thread(until_true, complete, 60, "all events are audited", LOOK_S)
    assert set(_audited(kafka, wanted).values()) == {1}
    assert set(_notified(kafka, wanted).values()) == {1}


def test_no_event_is_lost_or_doubled_when_routers_are_killed_and_partitions_move(
    kafka: KafkaStore, routers: list[RouterProcess]
) -> None:
    randomness = random.Random(7)
    wanted: set[str] = set()
    routers[0].start()
    for round_ in range(4):
        events = [sample_events.payment() for _ in range(400)]
        wanted.update(e.metadata.event_id for e in events)
        sample_events.write(kafka.bootstrap, "payments", events)
        seen = randomness.randrange(1, 400 * (round_ + 1))
        until_true(partial(_progressed, kafka, wanted, seen))
        if round_ == 1:
            routers[1].start()
        victim = routers[round_ % 2] if round_ > 1 else routers[0]
        victim.kill()
        victim.start()
    until_true(lambda: len(_audited(kafka, wanted)) == len(wanted), 60, poll_s=LOOK_S)
    until_true(lambda: len(_notified(kafka, wanted)) == len(wanted))
    assert set(_audited(kafka, wanted).values()) == {1}
    assert set(_notified(kafka, wanted).values()) == {1}


def test_a_router_that_stays_outside_its_group_ends_and_the_next_one_routes(
    kafka: KafkaStore, routers: list[RouterProcess]
) -> None:
    """Kafka answers, but the router gets no partitions, because another member never rejoins."""
    event = sample_events.payment("transfer_debited")
    wanted = {event.metadata.event_id}
    idle = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": GROUP,
            "partition.assignment.strategy": "cooperative-sticky",
            "max.poll.interval.ms": 300_000,
        }
    )
    try:
        # The callback runs in a poll, and this consumer never polls.
        idle.subscribe(list(SOURCES), on_assign=lambda *_: None)
        until_true(lambda: _has_a_steady_group(kafka))
        sample_events.write(kafka.bootstrap, "payments", [event])
        routers[0].start(BP_REJOIN_S_MAX="2")
        assert routers[0].ends() == EXIT_STUCK
        assert "kafka.left_behind" in (routers[0].home / "router-0.log").read_text()
        assert not _audited(kafka, wanted)
    finally:
        idle.close()
    routers[0].start()
    until_true(lambda: len(_audited(kafka, wanted)) == 1)
