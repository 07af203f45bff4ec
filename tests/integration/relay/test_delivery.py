"""The format of events in Kafka, the record of published events, and rows that cannot be sent."""

import asyncio
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from bp.event.v1 import event_pb2
from confluent_kafka import Message

from ops.waiting import until
from services.kernel.ids import new_id
from services.ledger.refusals import AccountUnknown, refusals
from tests.integration.relay.outbox import (
    APPEND,
    append,
    debit,
    first_seen_by_key,
    header,
    messages_of,
    relaying,
    until_drained,
)
from tests.rigs.stores import KafkaStore, PostgresStore


async def _message_of(kafka: KafkaStore, topic: str, event_id: UUID) -> Message:
    found = [m for m in await messages_of(kafka, topic) if header(m, "ce_id") == str(event_id)]
    assert len(found) == 1
    return found[0]


async def test_an_event_carries_cloudevents_headers_and_the_positions_of_its_posting(
    postgres: PostgresStore,
    kafka: KafkaStore,
    payments: asyncpg.Pool,
    superuser: asyncpg.Pool,
    relay_log: Path,
) -> None:
    account, transfer, event_id = new_id(5), new_id(5), new_id(5)
    await superuser.execute(
        "SELECT ledger.seed_accounts(ARRAY[$1::uuid], ARRAY[1000::bigint])", account
    )
    payload = event_pb2.AccountPositions().SerializeToString()
    await payments.execute(
        "SELECT outbox.append('payments', $1, $2, 'bp.payments.v1.TransferDebited', $3, $4,"
        " '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',"
        " ledger.debit_to_internal($5, 'TEST', $3, $1, 'USD', 25, 'ACH_CLEARING'))",
        *(account, event_id, transfer, payload, new_id(5)),
    )
    async with relaying(postgres, kafka, relay_log):
        await until_drained(superuser)
    message = await _message_of(kafka, "payments", event_id)
    assert message.key() == str(account).encode()
    assert header(message, "ce_specversion") == "1.0"
    assert header(message, "ce_source") == "/bp/payments"
    assert header(message, "ce_type") == "bp.payments.v1.TransferDebited"
    assert header(message, "ce_subject") == str(transfer)
    assert header(message, "ce_time").endswith("Z")
    assert header(message, "content-type") == "application/protobuf"
    assert header(message, "traceparent").startswith("00-0af7651916cd43dd")
    positions = event_pb2.AccountPositions.FromString(message.value() or b"").account_positions
    assert [(p.account_id, p.balance.minor_units, p.position) for p in positions] == [
        (str(account), 975, 2)
    ]
    kept = await superuser.fetchrow(
        "SELECT topic, partition, kafka_offset, subject FROM outbox.published WHERE event_id = $1",
        event_id,
    )
    assert kept is not None
    assert tuple(kept) == ("payments", message.partition(), message.offset(), transfer)


async def test_events_of_a_key_stay_in_order(
    postgres: PostgresStore,
    kafka: KafkaStore,
    payments: asyncpg.Pool,
    superuser: asyncpg.Pool,
    relay_log: Path,
) -> None:
    keys = [new_id() for _ in range(5)]
    expected = {str(key): [str(await append(payments, "transfers", key))] for key in keys}
    async with relaying(postgres, kafka, relay_log, BP_RELAY_BATCH_ROWS_MAX="7"):
        for _ in range(30):
            for key in keys:
                expected[str(key)].append(str(await append(payments, "transfers", key)))
        await until_drained(superuser)
    order = first_seen_by_key(await messages_of(kafka, "transfers"))
    assert {key: order[key] for key in expected} == expected


async def test_a_sleeping_relay_finds_the_next_event(
    postgres: PostgresStore,
    kafka: KafkaStore,
    payments: asyncpg.Pool,
    superuser: asyncpg.Pool,
    relay_log: Path,
) -> None:
    # It sleeps after the first empty read, and a relay that is awake would not read again.
    knobs = {"BP_RELAY_POLL_MS": "36000000", "BP_RELAY_ASLEEP_AFTER_MS": "0"}
    async with relaying(postgres, kafka, relay_log, **knobs):
        for _ in range(3):
            await append(payments, "payments")
            await until_drained(superuser)


async def test_an_event_too_large_for_kafka_is_parked_and_the_others_go_on(
    postgres: PostgresStore,
    kafka: KafkaStore,
    payments: asyncpg.Pool,
    superuser: asyncpg.Pool,
    relay_log: Path,
) -> None:
    # Larger than the limits of the outbox and of the client, as if an older schema had allowed it.
    await superuser.execute("ALTER TABLE outbox.event DROP CONSTRAINT event_payload_check")
    poison = await append(payments, "payments", payload=b"\0" * 1_200_000)
    after = await append(payments, "payments")
    async with relaying(postgres, kafka, relay_log):
        await until_drained(superuser)
    parked = await superuser.fetch("SELECT event_id, reason FROM outbox.parked")
    assert [(row["event_id"], row["reason"].split(":")[0]) for row in parked] == [
        (poison, "MSG_SIZE_TOO_LARGE")
    ]
    await _message_of(kafka, "payments", after)
    await superuser.execute("DELETE FROM outbox.parked")


async def test_a_topic_that_kafka_does_not_know_holds_up_no_other(
    postgres: PostgresStore,
    kafka: KafkaStore,
    payments: asyncpg.Pool,
    superuser: asyncpg.Pool,
    relay_log: Path,
) -> None:
    await append(payments, "no-such-topic")
    after = await append(payments, "payments")

    async def gone() -> bool:
        waiting = await superuser.fetchval("SELECT array_agg(topic) FROM outbox.event")
        return waiting == ["no-such-topic"]

    async with relaying(postgres, kafka, relay_log):
        await until(gone)
        again = await append(payments, "payments")
        await until(gone)
    await _message_of(kafka, "payments", after)
    await _message_of(kafka, "payments", again)
    await superuser.execute("DELETE FROM outbox.event WHERE topic = 'no-such-topic'")


async def test_the_backlog_tells_rows_and_age(
    payments: asyncpg.Pool, superuser: asyncpg.Pool, postgres: PostgresStore
) -> None:
    relay_pool = await postgres.pool("bp_relay", 1)
    assert tuple(await relay_pool.fetchrow("SELECT * FROM outbox.backlog()")) == (0, 0.0, 0)
    await asyncio.gather(*(append(payments, "payments") for _ in range(3)))
    waiting, age_s, parked = await relay_pool.fetchrow("SELECT * FROM outbox.backlog()")
    later_age_s = await superuser.fetchval(
        "SELECT extract(epoch FROM clock_timestamp() - min(create_time))::float8 FROM outbox.event"
    )
    assert (waiting, parked) == (3, 0)
    assert 0 < age_s <= later_age_s
    await superuser.execute("DELETE FROM outbox.event")
    await relay_pool.close()


async def test_a_rolled_back_change_is_never_an_event(
    payments: asyncpg.Pool, superuser: asyncpg.Pool
) -> None:
    account = new_id()
    with pytest.raises(AccountUnknown), refusals():
        await debit(payments, account)
    found = await superuser.fetchval("SELECT count(*) FROM outbox.event WHERE key = $1", account)
    assert found == 0


@pytest.mark.parametrize(
    "event_id",
    [
        UUID("8c5f4b4e-7d9c-4c39-8d1a-2f54f1f3a007"),
        UUID("00000000-0000-7000-8000-000000000007"),
        UUID("ffffffff-ffff-7fff-bfff-ffffffffff07"),
    ],
    ids=["not version 7", "1970", "far future"],
)
async def test_an_event_id_that_could_not_be_recorded_is_refused(
    payments: asyncpg.Pool, event_id: UUID
) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await payments.execute(APPEND, "payments", new_id(), event_id, new_id(), b"")
