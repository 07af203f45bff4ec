"""The service's own login cannot replace or invent a record without a finding."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import astuple, replace
from datetime import UTC

import asyncpg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from ops.provision.migrations import SERVICES
from services.audit.chain import AuditRow, Entry, Head, link
from services.audit.inspection import Report
from services.audit.mapping import to_entry
from services.audit.notes import Note, noted
from services.audit.settings import CHAINS, TOPIC
from services.audit.store import COLUMNS, NOTE_COLUMNS
from services.audit.verify import Kind
from services.chassis.kafka import to_record
from services.kernel.clock import utc_now
from services.kernel.ids import new_id
from tests.integration.audit.rig import Audit, audit_event, chain_of, erase, recorded
from tests.rigs import sample_events
from tests.rigs.stores import KafkaStore, PostgresStore

KEYS = (b"a", b"b", b"c", b"d", b"e")
MIGRATIONS = SERVICES / "audit" / "sql" / "migrations"
LIMITS = ("0009_chains_that_exist.sql", "0010_notes_of_chains_that_exist.sql")


def write(kafka: KafkaStore, *keys: bytes) -> list[Entry]:
    """Write an event for each key to audit-logs and return them as the service reads them."""
    values = [audit_event(str(new_id())).SerializeToString() for _ in keys]
    sample_events.write_raw(kafka.bootstrap, TOPIC, list(zip(keys, values, strict=True)))
    written = {m.value(): m for m in sample_events.read_all(kafka.bootstrap, TOPIC)}
    return [to_entry(to_record(written[value])) for value in values]


async def forge(service: asyncpg.Connection, entries: list[Entry]) -> list[AuditRow]:
    """Append links to one chain as the service's login, with correct hashes."""
    chain = entries[0].chain
    query = (
        "SELECT sequence, hash, record_time FROM audit.record WHERE chain = $1"
        " ORDER BY sequence DESC LIMIT 1"
    )
    last = await service.fetchrow(query, chain)
    rows = link(entries, {chain: Head(*last)} if last is not None else {}, utc_now())
    await service.copy_records_to_table(
        "record", schema_name="audit", columns=COLUMNS, records=[astuple(row) for row in rows]
    )
    return rows


async def forge_notes(service: asyncpg.Connection, entries: list[Entry]) -> list[Note]:
    """Write notes of repeated events as the service's login, the first of their chains."""
    notes = noted(entries, {})
    await service.copy_records_to_table(
        "repeated",
        schema_name="audit",
        columns=NOTE_COLUMNS,
        records=[astuple(note) for note in notes],
    )
    return notes


def found(report: Report) -> set[tuple[Kind, int, str]]:
    """Return the findings with their chains and events."""
    return {(one.kind, one.chain, one.event_id) for one in report.findings}


def invented(chain: int) -> Entry:
    """Return an event that never happened."""
    event = audit_event(str(new_id()))
    return Entry(
        chain=chain,
        event_id=new_id(),
        event_type=event.event_type,
        source_topic=event.source_topic,
        source_partition=event.source_partition,
        source_offset=event.source_offset,
        subject=event.subject,
        occur_time=event.occur_time.ToDatetime(UTC),
        log_offset=0,
        payload=b"invented",
    )


async def test_a_record_or_note_of_a_chain_that_does_not_exist_is_refused(
    postgres: PostgresStore, audit: Audit
) -> None:
    service = await postgres.session("bp_audit", "bp_audit")
    try:
        for write_forged in (forge, forge_notes):
            with pytest.raises(asyncpg.CheckViolationError):
                await write_forged(service, [invented(CHAINS)])
    finally:
        await service.close()


@asynccontextmanager
async def earlier_home(owner: asyncpg.Connection) -> AsyncGenerator[None]:
    """A log of a version that accepted every chain; it is migrated again at the end."""
    for table in ("record", "repeated"):
        await owner.execute(f"ALTER TABLE audit.{table} DROP CONSTRAINT {table}_chain_exists")
    try:
        yield
    finally:
        await migrate(owner)


async def migrate(owner: asyncpg.Connection) -> None:
    """Run the migrations that limit the chains, as if they had not run."""
    for name in LIMITS:
        await owner.execute((MIGRATIONS / name).read_text().split("-- migrate:down")[0])


async def test_records_and_notes_of_a_chain_that_does_not_exist_are_named_in_an_earlier_home(
    postgres: PostgresStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    """The migrations accept them, because a forged row must not stop a release."""
    service = await postgres.session("bp_audit", "bp_audit")
    entry, repeated = invented(CHAINS), invented(CHAINS + 1)
    ids = [str(entry.event_id), str(repeated.event_id)]
    try:
        async with earlier_home(audit_owner):
            await forge(service, [entry])
            await forge_notes(service, [repeated])
            await migrate(audit_owner)
            reports = [await audit.verified(since_head=only_new) for only_new in (False, True)]
            with pytest.raises(asyncpg.CheckViolationError):
                await forge(service, [invented(CHAINS)])
            for table in ("record", "repeated"):
                await erase(audit_owner, table, ids)
                drop = f"ALTER TABLE audit.{table} DROP CONSTRAINT {table}_chain_exists"
                await audit_owner.execute(drop)
    finally:
        await service.close()
    for report in reports:
        assert found(report) == {
            (Kind.INSERTED, CHAINS, ids[0]),
            (Kind.NOTE_FORGED, CHAINS + 1, ids[1]),
        }


async def two_chains(
    kafka: KafkaStore, owner: asyncpg.Connection
) -> tuple[tuple[bytes, int], tuple[bytes, int]]:
    """Return two keys of events and their chains, which have at least four links."""
    events = [(key, str(new_id())) for key in KEYS * 4]
    values = [(key, audit_event(one).SerializeToString()) for key, one in events]
    sample_events.write_raw(kafka.bootstrap, TOPIC, values)
    ids = dict(events)
    await recorded(owner, [one for _, one in events], len(events))
    (first, one), *others = [(key, await chain_of(owner, ids[key])) for key in KEYS]
    return (first, one), next(other for other in others if other[1] != one)


async def test_records_that_replace_events_or_have_an_old_offset_are_named(
    kafka: KafkaStore, postgres: PostgresStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    """The topic no longer holds the events of these offsets, so they cannot be compared."""
    (key, chain), (other_key, other) = await two_chains(kafka, audit_owner)
    await audit.end()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.delete_records([TopicPartition(TOPIC, chain, -1)]).values():
        future.result()
    changed, moved = write(kafka, key, other_key)
    assert (changed.chain, moved.chain) == (chain, other)
    forged = [
        replace(changed, payload=b"forged", log_offset=0),
        replace(moved, chain=chain, log_offset=1),
        replace(invented(chain), log_offset=2),
    ]
    service = await postgres.session("bp_audit", "bp_audit")
    rows = await forge(service, forged)
    await service.close()
    after = write(kafka, key, other_key)
    audit.start()
    await recorded(audit_owner, [str(one.event_id) for one in after], 2)
    await audit.end()
    report = await audit.verified()
    await erase(audit_owner, "record", [str(one.event_id) for one in [*forged, *after]])
    await audit.store.append([changed, moved, *after])
    audit.start()
    assert found(report) == {
        (Kind.CHANGED, chain, str(changed.event_id)),
        (Kind.INSERTED, chain, str(moved.event_id)),
        (Kind.OFFSET, chain, str(changed.event_id)),
    }
    (run,) = (one.detail for one in report.findings if one.kind is Kind.OFFSET)
    assert run.startswith(f"links {rows[0].sequence} to {rows[-1].sequence} ")
