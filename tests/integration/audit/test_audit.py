"""Audit on real Kafka and PostgreSQL records once, only appends, and detects tampering."""

import asyncio
import random
import uuid
from datetime import datetime

import asyncpg
import pytest
from bp.audit.v1 import audit_service_pb2 as pb

from ops.waiting import until
from services.audit.chain import Entry
from services.audit.grpc_api import AuditApi
from services.audit.handlers import Dependencies
from services.audit.settings import CHAINS
from services.chassis.page_tokens import PageTokens
from services.chassis.postgres import connect
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.integration.audit.rig import Audit, audit_event, chain_of, erase, on_record, recorded
from tests.rigs import sample_events
from tests.rigs.stores import KafkaStore, PostgresStore

IDLE_CHAIN = CHAINS - 1
"""A chain to which nothing is written while a test locks it."""


async def test_redelivered_events_are_on_record_once(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    ids = [str(new_id()) for _ in range(50)]
    for _ in range(3):
        sample_events.write_raw(
            kafka.bootstrap,
            "audit-logs",
            [(i.encode(), audit_event(i, "s").SerializeToString()) for i in ids],
        )
    last = str(new_id())
    sample_events.write_raw(
        kafka.bootstrap, "audit-logs", [(b"last", audit_event(last).SerializeToString())]
    )
    await recorded(audit_owner, [*ids, last], 51)
    assert await on_record(audit_owner, ids) == 50


async def test_the_time_on_record_counts_the_wait_for_the_chain(
    postgres: PostgresStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    entry = Entry(
        chain=IDLE_CHAIN,
        event_id=new_id(),
        event_type="bp.payments.v1.TransferDebited",
        source_topic="payments",
        source_partition=0,
        source_offset=0,
        subject="s",
        occur_time=utc_now(),
        log_offset=0,
        payload=b"e",
    )
    holder = await postgres.session("postgres", "bp_audit")
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    async with holder.transaction():
        await holder.execute("SELECT audit.lock_chains(ARRAY[$1::integer])", IDLE_CHAIN)
        appending = asyncio.create_task(audit.store.append([entry]))
        await until(lambda: audit_owner.fetchval(waiting))
        released = utc_now()
    assert await appending == 1
    await holder.close()
    sql = "SELECT record_time FROM audit.record WHERE event_id = $1"
    record_time: datetime | None = await audit_owner.fetchval(sql, entry.event_id)
    await erase(audit_owner, "record", [str(entry.event_id)])
    assert record_time is not None
    assert record_time >= released


async def test_a_process_of_the_previous_version_and_a_new_one_write_a_chain_in_turn(
    postgres: PostgresStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    """The previous version locks chains and signing with advisory locks."""
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
    previous = await postgres.session("bp_audit", "bp_audit")
    new = await postgres.session("bp_audit", "bp_audit")
    async with previous.transaction():
        await previous.execute("SELECT pg_advisory_xact_lock(20310, $1)", IDLE_CHAIN)
        await previous.execute("SELECT pg_advisory_xact_lock(20311, 0)")
        assert not await new.fetchval("SELECT audit.try_lock_signing()")
        locking = asyncio.create_task(
            new.execute("SELECT audit.lock_chains(ARRAY[$1::integer])", IDLE_CHAIN)
        )
        await until(lambda: audit_owner.fetchval(waiting))
    await locking
    async with new.transaction():
        assert await new.fetchval("SELECT audit.try_lock_signing()")
        assert not await previous.fetchval("SELECT pg_try_advisory_xact_lock(20311, 0)")
    await previous.close()
    await new.close()


async def test_a_bad_message_is_parked_with_its_reason_and_the_rest_is_recorded(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    ids = [str(new_id()) for _ in range(9)]
    values = [audit_event(i).SerializeToString() for i in ids]
    poison = b"\xff poison"
    sample_events.write_raw(
        kafka.bootstrap,
        "audit-logs",
        [(b"one key", value) for value in [*values[:4], poison, *values[4:]]],
    )
    await recorded(audit_owner, ids, 9)
    parked = [
        dict(m.headers() or ())
        for m in sample_events.read_all(kafka.bootstrap, "audit-logs.dlq")
        if m.value() == poison
    ]
    assert [p["dlq-reason"] for p in parked] == [b"UNDECODABLE"]
    assert parked[0]["dlq-original-topic"] == b"audit-logs"


async def test_events_that_no_row_can_hold_are_parked_and_their_chain_continues(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    """A subject that was too long for its index blocked its chain forever."""
    too_long = random.Random(7).randbytes(4000).hex()
    poison = {
        audit_event(str(new_id()), subject).SerializeToString() for subject in (too_long, "a\0b")
    }
    after = str(new_id())
    values = [*poison, audit_event(after).SerializeToString()]
    sample_events.write_raw(
        kafka.bootstrap, "audit-logs", [(b"one key", value) for value in values]
    )
    await recorded(audit_owner, [after], 1)
    parked = [
        dict(m.headers() or ())["dlq-reason"]
        for m in sample_events.read_all(kafka.bootstrap, "audit-logs.dlq")
        if m.value() in poison
    ]
    assert parked == [b"TEXT_INVALID"] * 2


async def test_the_service_role_can_only_append_and_triggers_refuse_its_owner_too(
    postgres: PostgresStore, audit_owner: asyncpg.Connection
) -> None:
    service = await connect(postgres.database("bp_audit", "bp_audit"), "test")
    partition = await audit_owner.fetchval(
        "SELECT inhrelid::regclass::text FROM pg_inherits"
        " WHERE inhparent = 'audit.record'::regclass ORDER BY 1 LIMIT 1"
    )
    statements = (
        "UPDATE audit.record SET subject = ''",
        "DELETE FROM audit.record",
        "TRUNCATE audit.record",
        f"TRUNCATE {partition}",
    )
    for statement in statements:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await audit_owner.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("DROP TABLE audit.record")
    await service.close()


async def test_pages_of_a_chain_and_of_a_subject_follow_on_without_gap(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    subject = str(uuid.uuid4())
    ids = [str(new_id()) for _ in range(7)]
    sample_events.write_raw(
        kafka.bootstrap,
        "audit-logs",
        [(b"k", audit_event(i, subject).SerializeToString()) for i in ids],
    )
    await recorded(audit_owner, ids, 7)
    api = AuditApi(Dependencies(audit.store, PageTokens(b"key")))
    for request, wanted in (
        (pb.ListAuditRecordsRequest(subject=subject, page_size=3), 7),
        (pb.ListAuditRecordsRequest(chain=await chain_of(audit_owner, ids[0]), page_size=3), 0),
    ):
        found: list[tuple[int, str]] = []
        while True:
            page = await api.list_audit_records(request, None)
            found += [(r.sequence, r.event_id) for r in page.audit_records]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        sequences = [sequence for sequence, _ in found]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
        assert not wanted or sorted(e for _, e in found) == sorted(ids)


async def test_an_untouched_log_has_no_findings(audit: Audit) -> None:
    report = await audit.verified()
    assert report.findings == []
    assert report.records > 0
    assert report.events >= report.records


COPY_OF = (
    "INSERT INTO audit.record SELECT chain, sequence + {shift}, '{id}', event_type, source_topic,"
    " source_partition, source_offset, subject, occur_time, log_offset + {shift}, record_time,"
    " hash_version, hash, sha256(hash), payload FROM audit.record WHERE {where}"
)
LAST = (
    "chain = {chain} AND sequence = (SELECT max(sequence) FROM audit.record WHERE chain = {chain})"
)
TAMPERING = {
    "changed": [
        "UPDATE audit.record SET payload = 'forged' WHERE chain = {chain} AND sequence = 5"
    ],
    "removed": ["DELETE FROM audit.record WHERE chain = {chain} AND sequence = 5"],
    "removed tail": ["DELETE FROM audit.record WHERE " + LAST],
    "removed all": ["DELETE FROM audit.record WHERE chain = {chain}"],
    "reordered": [
        "UPDATE audit.record SET sequence = 1000000 WHERE chain = {chain} AND sequence = 5",
        "UPDATE audit.record SET sequence = 5 WHERE chain = {chain} AND sequence = 6",
        "UPDATE audit.record SET sequence = 6 WHERE chain = {chain} AND sequence = 1000000",
    ],
    "inserted": [COPY_OF.format(id=uuid.UUID(int=7 << 76), shift=1, where=LAST)],
}


@pytest.mark.parametrize("tampering", TAMPERING)
async def test_each_kind_of_tampering_with_the_log_is_named(
    kafka: KafkaStore,
    audit: Audit,
    audit_owner: asyncpg.Connection,
    tampering: str,
) -> None:
    ids = [str(new_id()) for _ in range(8)]
    sample_events.write_raw(
        kafka.bootstrap,
        "audit-logs",
        [(b"tampered", audit_event(i).SerializeToString()) for i in ids],
    )
    await recorded(audit_owner, ids, 8)
    # Stop the consumer, so that all offsets are committed and no more events arrive.
    await audit.end()
    chain = await chain_of(audit_owner, ids[0])
    undo = await audit_owner.fetch("SELECT * FROM audit.record WHERE chain = $1", chain)
    # Disable triggers, as a superuser can.
    await audit_owner.execute("SET session_replication_role = replica")
    for statement in TAMPERING[tampering]:
        await audit_owner.execute(statement.format(chain=chain))
    found = await audit.verified()
    await audit_owner.execute(f"DELETE FROM audit.record WHERE chain = {chain}")
    await audit_owner.copy_records_to_table("record", schema_name="audit", records=undo)
    audit.start()
    kinds = {str(f.kind) for f in found.findings}
    assert tampering.split()[0] in kinds
    named = [f for f in found.findings if f.kind == tampering.split()[0]]
    assert {f.chain for f in named} == {chain}
    assert all(f.event_id or f.sequence for f in named)
