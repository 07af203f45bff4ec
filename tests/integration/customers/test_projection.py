"""The projection of balances is correct for any order, topic and number of deliveries."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
import pytest_asyncio
from bp.customers.v1 import customers_service_pb2 as pb
from bp.event.v1 import event_pb2
from confluent_kafka import Consumer, Producer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.waiting import scaled_s, until, until_true
from services.chassis import kafka
from services.customers import events_in
from services.customers.balance_waiters import BalanceWaiters
from services.customers.events_in import Projection
from services.customers.settings import TOPICS, CustomersSettings
from services.kernel.ids import new_id
from tests.rigs import sample_events
from tests.rigs.book_transfer_calls import new_key, order
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.services_in_process import Running, background
from tests.rigs.sidecar_calls import from_customer, refusal


def event(*positions: tuple[uuid.UUID, int, int]) -> bytes:
    """The bytes of an event that the projection reads: account, balance, position."""
    message = event_pb2.AccountPositions()
    for account_id, balance, position in positions:
        message.account_positions.add(
            account_id=str(account_id),
            balance={"currency_code": "USD", "minor_units": balance},
            position=position,
        )
    return message.SerializeToString()


def record(value: bytes, topic: str = "payments", offset: int = 0) -> kafka.Record:
    """A message as the Kafka loop passes it on."""
    return kafka.Record(topic, 0, offset, b"", value, ())


async def outbox_messages(bank: LedgerBank, keys: Sequence[uuid.UUID]) -> list[bytes]:
    """The messages that the relay publishes for these accounts: payload and positions."""
    write = await bank.superuser("bp_write")
    rows = await write.fetch(
        "SELECT payload, positions FROM outbox.event WHERE key = ANY ($1) ORDER BY id", list(keys)
    )
    return [
        row["payload"]
        + event(*((p["account_id"], p["balance"], p["position"]) for p in row["positions"]))
        for row in rows
    ]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_any_order_batching_and_redelivery_over_both_topics_ends_at_the_last_positions(
    bank: LedgerBank, customers: Running, data: st.DataObject
):
    accounts = [new_id() for _ in range(3)]
    last = {account: data.draw(st.integers(1, 6)) for account in accounts}
    truth = {
        (account, position): data.draw(st.integers(0, 10_000))
        for account in accounts
        for position in range(1, last[account] + 1)
    }
    once = [(account, balance, position) for (account, position), balance in truth.items()]
    again = data.draw(st.lists(st.sampled_from(once), max_size=10))
    arrived = data.draw(st.permutations(once + again))
    projection = Projection(customers.store)
    while arrived:
        size = data.draw(st.integers(1, len(arrived)))
        batch, arrived = arrived[:size], arrived[size:]
        topics = [data.draw(st.sampled_from(TOPICS)) for _ in batch]
        await projection([record(event(p), t) for p, t in zip(batch, topics, strict=True)])
    for account in accounts:
        expected = truth[account, last[account]], last[account]
        assert await bank.projected(account) == expected


async def test_two_consumers_that_get_the_same_accounts_at_once_converge_to_the_ledger(
    bank: LedgerBank, customers: Running, transfers_stub
):
    holders = [await bank.open_holder(50_000) for _ in range(4)]

    async def move(n: int) -> None:
        payer, payee = holders[n % 4], holders[(n + 1) % 4]
        await transfers_stub.CreateBookTransfer(
            order(payer.account_id, payee.account_id, 10 + n),
            metadata=from_customer(payer.customer_id, new_key()),
        )

    await asyncio.gather(*(move(n) for n in range(60)))
    messages = await outbox_messages(bank, [holder.account_id for holder in holders])
    assert len(messages) == 60
    projection = Projection(customers.store)

    async def consume(order: Sequence[bytes], rows: int) -> None:
        for begin in range(0, len(order), rows):
            await projection([record(value) for value in order[begin : begin + rows]])

    await asyncio.gather(
        consume(messages, 7), consume(messages[::-1], 5), consume(messages[::2] + messages, 3)
    )
    for holder in holders:
        assert await bank.projected(holder.account_id) == await bank.held(holder.account_id)


class Feed:
    """Publishes to the topics as the relay does."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(kafka.producer_settings(bootstrap, "test-feed", linger_ms=0))

    async def publish(self, topic: str, key: uuid.UUID, value: bytes) -> None:
        """Write one message and wait for its acknowledgement."""
        self._producer.produce(topic, key=str(key), value=value)
        assert await asyncio.to_thread(self._producer.flush, scaled_s(20)) == 0


@pytest_asyncio.fixture(scope="module")
async def feed(bank: LedgerBank, customers: Running) -> AsyncIterator[Feed]:
    """A publisher whose messages the service's own consumer reads."""
    stop = asyncio.Event()
    health = kafka.Health()
    loop = kafka.consume(
        events_in.subscription(customers.settings), Projection(customers.store), stop, health
    )
    async with background(loop):

        async def assigned() -> bool:
            return len(health.partitions) == 12

        await until(assigned, 30, "the group has its partitions")
        yield Feed(customers.settings.kafka_bootstrap)


async def balance_at(stub, holder, position: int) -> tuple[int, int]:
    """Read a balance whose position is at least the given one."""
    answer = await stub.GetBalance(
        pb.GetBalanceRequest(account_id=str(holder.account_id), at_least_position=position),
        metadata=from_customer(holder.customer_id),
    )
    assert answer.balance.available == answer.balance.ledger
    return answer.balance.ledger.minor_units, answer.balance.position


async def test_a_caller_that_asks_for_its_position_reads_its_own_write(
    bank: LedgerBank, customers_stub, feed: Feed
):
    holder = await bank.open_holder()

    async def first_is_there() -> bool:
        return await bank.projected(holder.account_id) == (700, 1)

    async with asyncio.TaskGroup() as calls:
        waiting = calls.create_task(balance_at(customers_stub, holder, 2))
        await feed.publish("payments", holder.account_id, event((holder.account_id, 700, 1)))
        await until(first_is_there)
        assert not waiting.done()
        await feed.publish("transfers", holder.account_id, event((holder.account_id, 650, 2)))
    assert waiting.result() == (650, 2)
    assert await balance_at(customers_stub, holder, 1) == (650, 2)


async def test_many_callers_wait_for_different_accounts_and_positions(
    bank: LedgerBank, customers_stub, feed: Feed
):
    holders = [await bank.open_holder() for _ in range(10)]
    async with asyncio.TaskGroup() as calls:
        waiting = [
            calls.create_task(balance_at(customers_stub, holder, position))
            for holder in holders
            for position in (1, 2, 3)
        ]
        for position in (1, 2, 3):
            for holder in holders:
                value = event((holder.account_id, 100 * position, position))
                await feed.publish("payments", holder.account_id, value)
    for one, wanted in zip(waiting, [1, 2, 3] * 10, strict=True):
        balance, position = one.result()
        assert position >= wanted
        assert balance == 100 * position


async def test_a_position_that_does_not_come_is_refused_after_two_seconds_with_a_retry(
    bank: LedgerBank, customers: Running, customers_stub, monkeypatch: pytest.MonkeyPatch
):
    holder = await bank.open_holder()
    limits: list[float] = []
    reached = BalanceWaiters.reached

    async def soon_over(
        self: BalanceWaiters, account_id: uuid.UUID, position: int, within_s: float
    ) -> bool:
        limits.append(within_s)
        return await reached(self, account_id, position, 0.1)

    monkeypatch.setattr(BalanceWaiters, "reached", soon_over)
    call = customers_stub.GetBalance(
        pb.GetBalanceRequest(account_id=str(holder.account_id), at_least_position=9),
        metadata=from_customer(holder.customer_id),
    )
    assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "POSITION_NOT_REACHED")
    assert dict(await call.trailing_metadata())["retry-after"] == "1"
    assert limits == [customers.settings.position_wait_s]
    assert CustomersSettings.model_fields["position_wait_s"].default == 2.0


async def test_bad_messages_are_parked_with_their_reason_and_the_group_continues(
    bank: LedgerBank, customers: Running, feed: Feed
):
    holder = await bank.open_holder()
    marker = uuid.uuid4()
    bad = {
        b"\xff not protobuf " + marker.bytes: "UNDECODABLE",
        event((marker, 5, 0)): "INVALID_POSITION",
        event((marker, -5, 1)): "INVALID_POSITION",
    }
    for value in bad:
        await feed.publish("payments", marker, value)
    await feed.publish("payments", marker, event((holder.account_id, 42, 1)))

    async def good_one_is_applied() -> bool:
        return await bank.projected(holder.account_id) == (42, 1)

    await until(good_one_is_applied)
    assert await asyncio.to_thread(_parked, customers.settings.kafka_bootstrap, set(bad)) == bad


def _parked(bootstrap: str, wanted: set[bytes]) -> dict[bytes, str]:
    """Read the dead-letter topic of `payments` until all wanted messages are found."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(["payments.dlq"])
    found: dict[bytes, str] = {}

    def all_found() -> bool:
        for message in consumer.consume(10, 0.2):
            value = message.value()
            if message.error() is None and value in wanted:
                found[value] = sample_events.header_of(message, "dlq-reason").decode()
        return found.keys() == wanted

    try:
        until_true(all_found, 30, "all wanted messages are parked")
    finally:
        consumer.close()
    return found


async def test_waiting_continues_after_the_listening_connection_was_cut(
    bank: LedgerBank, customers_stub, feed: Feed
):
    holder = await bank.open_holder()
    database = await bank.superuser("bp_customers")
    cut: int | None = await database.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'customers-waiters'"
    )
    assert cut is not None
    assert cut >= 1
    async with asyncio.TaskGroup() as calls:
        waiting = calls.create_task(balance_at(customers_stub, holder, 1))
        await feed.publish("transfers", holder.account_id, event((holder.account_id, 5, 1)))
    assert waiting.result() == (5, 1)
