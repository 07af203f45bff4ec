"""Events of a source topic without a record are named by their offsets."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import astuple, replace
from datetime import UTC

import asyncpg
from bp.audit.v1 import audit_service_pb2 as pb
from bp.audit.v1.audit_record_pb2 import AuditRecord

from ops.waiting import until
from services.audit.chain import AuditRow, digest
from services.audit.grpc_api import AuditApi
from services.audit.handlers import Dependencies
from services.audit.mapping import to_entry
from services.audit.notes import Note, note_digest
from services.audit.settings import TOPIC
from services.audit.store import NOTE_COLUMNS
from services.audit.verify import Kind
from services.chassis.kafka import to_record
from services.chassis.page_tokens import PageTokens
from services.kernel.ids import new_id
from tests.integration.audit.rig import Audit, audit_event, fill_source, recorded
from tests.rigs import sample_events
from tests.rigs.stores import KafkaStore, PostgresStore

KEYS = (b"a", b"b", b"c", b"d", b"e")
"""Keys of events in several chains; one source partition has such events."""


def write(kafka: KafkaStore, source: str, offsets: dict[int, str]) -> None:
    """Write the audit events of a partition of a source topic: event ids by offset."""
    fill_source(kafka, source, max(offsets) + 1)
    sample_events.write_raw(
        kafka.bootstrap,
        TOPIC,
        [
            (
                KEYS[int(event_id[-1], 16) % len(KEYS)],
                audit_event(event_id, source, (source, 0, offset)).SerializeToString(),
            )
            for offset, event_id in offsets.items()
        ],
    )


def ids_at(offsets: range) -> dict[int, str]:
    return {offset: str(new_id()) for offset in offsets}


@asynccontextmanager
async def without_triggers(owner: asyncpg.Connection) -> AsyncGenerator[None]:
    """Disable triggers, as a superuser can."""
    await owner.execute("SET session_replication_role = replica")
    try:
        yield
    finally:
        await owner.execute("RESET session_replication_role")


async def notes_of(owner: asyncpg.Connection, source: str) -> list[Note]:
    """Return the notes of one source topic."""
    names = ", ".join(NOTE_COLUMNS)
    query = f"SELECT {names} FROM audit.repeated WHERE source_topic = $1 ORDER BY sequence"
    return [Note(**row) for row in await owner.fetch(query, source)]


async def store_notes(owner: asyncpg.Connection, notes: list[Note]) -> None:
    """Write notes without the service."""
    await owner.copy_records_to_table(
        "repeated",
        schema_name="audit",
        columns=NOTE_COLUMNS,
        records=[astuple(note) for note in notes],
    )


def rehashed(note: Note) -> Note:
    return replace(note, hash=note_digest(note))


async def gaps(audit: Audit, source: str) -> list[str]:
    """Return the details of the gaps of one source topic."""
    found = (await audit.verified()).findings
    return [one.detail for one in found if one.kind is Kind.GAP and f"{source}/" in one.detail]


def row_of(record: AuditRecord) -> AuditRow:
    """Return the link that a caller of the API can rebuild from a record."""
    return AuditRow(
        chain=record.chain,
        sequence=record.sequence,
        event_id=uuid.UUID(record.event_id),
        event_type=record.event_type,
        source_topic=record.source_topic,
        source_partition=record.source_partition,
        source_offset=record.source_offset,
        subject=record.subject,
        occur_time=record.occur_time.ToDatetime(UTC),
        log_offset=record.log_offset,
        record_time=record.record_time.ToDatetime(UTC),
        hash_version=record.hash_version,
        previous_hash=record.previous_hash,
        hash=b"",
        payload=record.payload,
    )


async def test_events_that_never_reached_the_log_are_named_by_their_offsets(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    events = ids_at(range(30))
    lost = {0, 7, 8, 21}
    kept = {offset: one for offset, one in events.items() if offset not in lost}
    write(kafka, "lossy", kept)
    await recorded(audit_owner, list(kept.values()), len(kept))
    assert await gaps(audit, "lossy") == [
        "offset 0 of lossy/0 not recorded",
        "offsets 7 to 8 of lossy/0 not recorded",
        "offset 21 of lossy/0 not recorded",
    ]
    late = {offset: events[offset] for offset in lost}
    write(kafka, "lossy", late)
    await recorded(audit_owner, list(late.values()), len(late))
    assert await gaps(audit, "lossy") == []


async def test_an_event_that_the_relay_sent_twice_leaves_no_gap(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    events = ids_at(range(10))
    again = {6 + offset: events[offset] for offset in range(4, 10)}
    after = {16: str(new_id())}
    write(kafka, "repeated", events | again | after)
    await recorded(audit_owner, [*events.values(), *after.values()], 11)
    # Other chains may still be writing: what they have not recorded yet is no gap either.
    assert await gaps(audit, "repeated") == []
    query = "SELECT source_offset FROM audit.repeated WHERE source_topic = 'repeated' ORDER BY 1"

    async def noted() -> bool:
        return [row[0] for row in await audit_owner.fetch(query)] == [*range(10, 16)]

    await until(noted, what="the repeated offsets are noted")
    assert await gaps(audit, "repeated") == []


async def test_a_repetition_that_an_earlier_version_did_not_note_leaves_no_gap(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    """During a rolling release, processes that write notes alternate with others that do not."""
    events = ids_at(range(10))
    again = {6 + offset: events[offset] for offset in range(4, 10)}
    after = {16: str(new_id())}
    write(kafka, "older", events | again | after)
    await recorded(audit_owner, [*events.values(), *after.values()], 11)
    count = "SELECT count(*) = 6 FROM audit.repeated WHERE source_topic = 'older'"
    await until(lambda: audit_owner.fetchval(count), what="the repetitions are noted")
    kept = await notes_of(audit_owner, "older")
    async with without_triggers(audit_owner):
        await audit_owner.execute("DELETE FROM audit.repeated WHERE source_topic = 'older'")
        try:
            assert await gaps(audit, "older") == []
        finally:
            await store_notes(audit_owner, kept)


async def test_a_note_that_hides_a_lost_event_excuses_nothing(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    """A superuser of the database adds a note, or changes one and its hash."""
    events = {0: str(new_id()), 2: str(new_id())}
    write(kafka, "hidden", events | {3: events[0]} | {4: str(new_id())})

    async def noted_and_signed() -> bool:
        await audit.sign()
        return bool(await notes_of(audit_owner, "hidden")) and len(await gaps(audit, "hidden")) == 1

    await until(noted_and_signed, what="the repetition is noted")
    gap = ["offset 1 of hidden/0 not recorded"]
    assert await gaps(audit, "hidden") == gap
    (kept,) = await notes_of(audit_owner, "hidden")
    hides = replace(kept, source_offset=1)
    after = replace(hides, sequence=kept.sequence + 1, previous_hash=kept.hash)
    for forged in ([kept, rehashed(after)], [rehashed(hides)]):
        async with without_triggers(audit_owner):
            await audit_owner.execute("DELETE FROM audit.repeated WHERE source_topic = 'hidden'")
            await store_notes(audit_owner, forged)
            try:
                report = await audit.verified()
            finally:
                await audit_owner.execute(
                    "DELETE FROM audit.repeated WHERE source_topic = 'hidden'"
                )
                await store_notes(audit_owner, [kept])
        assert Kind.NOTE_FORGED in {found.kind for found in report.findings}
        assert set(gap) <= {found.detail for found in report.findings}
    lost = str(new_id())
    write(kafka, "hidden", {1: lost})
    await recorded(audit_owner, [lost], 1)


async def test_a_note_of_an_earlier_version_excuses_nothing(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    events = {0: str(new_id()), 2: str(new_id())}
    write(kafka, "excused", events)
    await recorded(audit_owner, list(events.values()), 2)
    await audit_owner.execute(
        "INSERT INTO audit.repeated (source_topic, source_partition, source_offset, event_id)"
        " VALUES ('excused', 0, 1, $1)",
        events[0],
    )
    assert await gaps(audit, "excused") == ["offset 1 of excused/0 not recorded"]
    lost = str(new_id())
    write(kafka, "excused", {1: lost})
    await recorded(audit_owner, [lost], 1)


async def test_an_event_that_audit_parked_leaves_no_gap(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    events = ids_at(range(3))
    parked = audit_event(events.pop(1), "a\0b", ("parked", 0, 1))
    sample_events.write_raw(kafka.bootstrap, TOPIC, [(KEYS[0], parked.SerializeToString())])
    write(kafka, "parked", events)
    await recorded(audit_owner, list(events.values()), 2)
    assert await gaps(audit, "parked") == []


async def test_a_chain_that_waits_for_its_records_is_no_gap(
    kafka: KafkaStore, postgres: PostgresStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    """The events of one source partition are in several chains, and one may lag."""
    first = ids_at(range(10))
    fill_source(kafka, "lagging", 12)
    write(kafka, "lagging", first)
    await recorded(audit_owner, list(first.values()), 10)
    chains = await audit_owner.fetch(
        "SELECT chain, event_id::text FROM audit.record WHERE source_topic = 'lagging'"
    )
    by_chain = {row["chain"]: row["event_id"] for row in chains}
    slow, fast = sorted(by_chain)[:2]
    keys = {one: KEYS[int(by_chain[one][-1], 16) % len(KEYS)] for one in (slow, fast)}
    holder = await postgres.session("postgres", "bp_audit")
    late, early = str(new_id()), str(new_id())
    async with holder.transaction():
        await holder.execute("SELECT audit.lock_chains(ARRAY[$1::integer])", slow)
        for key, event_id, offset in ((keys[slow], late, 10), (keys[fast], early, 11)):
            value = audit_event(event_id, position=("lagging", 0, offset)).SerializeToString()
            sample_events.write_raw(kafka.bootstrap, TOPIC, [(key, value)])
        (written,) = (
            m for m in sample_events.read_all(kafka.bootstrap, TOPIC) if m.value() == value
        )
        # A later event is recorded although an earlier one waits, as with two processes.
        await audit.store.append([to_entry(to_record(written))])
        assert await gaps(audit, "lagging") == []
    await holder.close()
    await recorded(audit_owner, [late, early], 2)
    assert await gaps(audit, "lagging") == []


async def test_a_record_shows_all_that_its_hash_covers(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    events = ids_at(range(5))
    write(kafka, "shown", events)
    await recorded(audit_owner, list(events.values()), 5)
    api = AuditApi(Dependencies(audit.store, PageTokens(b"key")))
    page = await api.list_audit_records(pb.ListAuditRecordsRequest(subject="shown"), None)
    assert {one.event_id for one in page.audit_records} == set(events.values())
    assert {one.source_offset for one in page.audit_records} == set(range(5))
    for record in page.audit_records:
        assert digest(row_of(record)) == record.hash
