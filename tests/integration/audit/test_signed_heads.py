"""Signed heads find a log that a superuser of the database rewrote consistently.

The topic no longer holds the events, as after their retention. So only the heads show the change.
"""

from collections.abc import AsyncIterator
from dataclasses import replace

import asyncpg
import hvac
import hvac.exceptions
import pytest
import pytest_asyncio
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs

from services.audit.chain import AuditRow, Head, digest
from services.audit.head_files import SUFFIX
from services.audit.inspection import Report
from services.audit.notary import KEY
from services.audit.settings import TOPIC
from services.audit.verify import ALL_CHAINS, Finding, Kind
from services.kernel.ids import new_id
from tests.integration.audit.rig import Audit, audit_event, chain_of, recorded
from tests.rigs import sample_events
from tests.rigs.stores import KafkaStore, OpenBaoStore


async def write_signed(
    kafka: KafkaStore, audit: Audit, owner: asyncpg.Connection, count: int
) -> int:
    """Record `count` events in one chain and sign it after every ten; return the chain."""
    ids: list[str] = []
    for done in range(0, count, 10):
        new = [str(new_id()) for _ in range(min(10, count - done))]
        values = [(b"signed", audit_event(one).SerializeToString()) for one in new]
        sample_events.write_raw(kafka.bootstrap, TOPIC, values)
        ids += new
        await recorded(owner, ids, len(ids))
        await audit.sign()
    return await chain_of(owner, ids[0])


def forget_events(kafka: KafkaStore, chain: int) -> None:
    """Delete all events of a partition, as its retention would."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.delete_records([TopicPartition(TOPIC, chain, -1)]).values():
        future.result()


@pytest_asyncio.fixture
async def signed_chain(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> AsyncIterator[int]:
    """A chain of at least thirty signed links, without its events; restored after the test."""
    chain = await write_signed(kafka, audit, audit_owner, 30)
    await audit.end()
    try:
        forget_events(kafka, chain)
        undo = await audit_owner.fetch("SELECT * FROM audit.record WHERE chain = $1", chain)
        assert (await audit.verified()).findings == []
        # Disable triggers, as a superuser can.
        await audit_owner.execute("SET session_replication_role = replica")
        yield chain
        await audit_owner.execute("DELETE FROM audit.record WHERE chain = $1", chain)
        await audit_owner.copy_records_to_table("record", schema_name="audit", records=undo)
    finally:
        audit.start()


async def rewrite(owner: asyncpg.Connection, rows: list[AuditRow], chain: int) -> None:
    """Replace a chain by other links, with all hashes recomputed as a superuser can."""
    head = Head()
    await owner.execute("DELETE FROM audit.record WHERE chain = $1", chain)
    for row in rows:
        new = replace(row, sequence=head.sequence + 1, previous_hash=head.hash)
        new = replace(new, hash=digest(new))
        head = Head(new.sequence, new.hash, new.record_time)
        names = AuditRow.__slots__
        await owner.copy_records_to_table(
            "record",
            schema_name="audit",
            columns=names,
            records=[tuple(getattr(new, name) for name in names)],
        )


async def links(owner: asyncpg.Connection, chain: int) -> list[AuditRow]:
    rows = await owner.fetch("SELECT * FROM audit.record WHERE chain = $1 ORDER BY 2", chain)
    return [AuditRow(**row) for row in rows]


def first_signed(audit: Audit, chain: int, sequence: int) -> int:
    """Return the first signed sequence of a chain that is not before the given one."""
    heads = (signed.statement.head(chain) for signed in audit.heads.statements())
    return min(head.sequence for head in heads if head is not None and head.sequence >= sequence)


def but_gaps(report: Report) -> list[Finding]:
    """Return the findings without gaps: a removed link leaves one if its source topic exists."""
    return [finding for finding in report.findings if finding.kind is not Kind.GAP]


@pytest.mark.parametrize("since_head", [False, True], ids=["all", "since the last head"])
async def test_a_chain_recomputed_after_a_forgery_and_a_removal_is_named_with_its_first_wrong_head(
    audit: Audit, audit_owner: asyncpg.Connection, signed_chain: int, since_head: bool
) -> None:
    rows = await links(audit_owner, signed_chain)
    forged = replace(rows[10], payload=b"forged")
    await rewrite(audit_owner, [*rows[:10], forged, *rows[11:20], *rows[21:]], signed_chain)
    report = await audit.verified(since_head=since_head)
    wanted = (Kind.HEAD_MISMATCH, signed_chain, first_signed(audit, signed_chain, 11))
    assert [(f.kind, f.chain, f.sequence) for f in but_gaps(report)] == [wanted]


@pytest.mark.parametrize("since_head", [False, True], ids=["all", "since the last head"])
async def test_a_chain_that_was_recomputed_before_the_next_signature_is_named(
    audit: Audit, audit_owner: asyncpg.Connection, signed_chain: int, since_head: bool
) -> None:
    """Previously the next signature covered the forged chain, and a verification from the last head
    began after it."""
    rows = await links(audit_owner, signed_chain)
    await rewrite(
        audit_owner, [*rows[:10], replace(rows[10], payload=b"f"), *rows[11:]], signed_chain
    )
    with capture_logs() as logs:
        await audit.sign()
    changed = [one for one in logs if one["event"] == "audit.signed_link_changed"]
    assert [(one["chain"], one["sequence"]) for one in changed] == [(signed_chain, len(rows))]
    report = await audit.verified(since_head=since_head)
    wanted = (Kind.HEAD_MISMATCH, signed_chain, first_signed(audit, signed_chain, 11))
    assert [(f.kind, f.chain, f.sequence) for f in but_gaps(report)] == [wanted]


async def test_links_cut_off_after_a_signed_head_are_named(
    audit: Audit, audit_owner: asyncpg.Connection, signed_chain: int
) -> None:
    rows = await links(audit_owner, signed_chain)
    await rewrite(audit_owner, rows[:-3], signed_chain)
    report = await audit.verified()
    (found,) = but_gaps(report)
    assert (found.kind, found.chain) == (Kind.HEAD_MISMATCH, signed_chain)
    assert (found.sequence, "the link is gone" in found.detail) == (len(rows), True)


async def test_a_removed_chain_is_named(
    audit: Audit, audit_owner: asyncpg.Connection, signed_chain: int
) -> None:
    await rewrite(audit_owner, [], signed_chain)
    report = await audit.verified()
    assert [(f.kind, f.chain) for f in but_gaps(report)] == [(Kind.HEAD_MISMATCH, signed_chain)]


async def test_a_link_that_is_written_after_the_last_head_is_no_finding(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    await write_signed(kafka, audit, audit_owner, 3)
    late = str(new_id())
    value = audit_event(late).SerializeToString()
    sample_events.write_raw(kafka.bootstrap, TOPIC, [(b"signed", value)])
    await recorded(audit_owner, [late], 1)
    for since_head in (False, True):
        assert (await audit.verified(since_head=since_head)).findings == []


def kinds(report: Report) -> list[tuple[Kind, int]]:
    return [(f.kind, f.sequence) for f in report.findings if f.chain == ALL_CHAINS]


async def test_deleted_and_changed_files_of_heads_are_named_with_the_missing_numbers(
    kafka: KafkaStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    await write_signed(kafka, audit, audit_owner, 30)
    (file,) = audit.settings.heads.glob(f"*{SUFFIX}")
    kept = file.read_bytes()
    lines = kept.splitlines(keepends=True)
    count = len(lines)
    try:
        file.write_bytes(b"".join(lines[:-2]))
        assert kinds(await audit.verified()) == [(Kind.HEAD_MISSING, count - 1)]
        file.write_bytes(b"".join([*lines[:1], *lines[2:]]))
        assert kinds(await audit.verified()) == [(Kind.HEAD_MISSING, 2)]
        changed = lines[-2].replace(b'"sequence":', b'"sequence":1')
        file.write_bytes(b"".join([*lines[:-2], changed, lines[-1]]))
        wanted = [(Kind.HEAD_FORGED, count - 1), (Kind.HEAD_FORGED, count)]
        assert kinds(await audit.verified()) == wanted
        file.unlink()
        assert kinds(await audit.verified()) == [(Kind.HEAD_MISSING, 1)]
    finally:
        file.write_bytes(kept)
    assert (await audit.verified()).findings == []


async def test_numbers_continue_after_all_heads_are_deleted_so_the_gap_stays_visible(
    audit: Audit,
) -> None:
    last = await audit.sign()
    (file,) = audit.settings.heads.glob(f"*{SUFFIX}")
    kept = file.read_bytes()
    try:
        file.unlink()
        # Another process, which knows nothing of the former statements, signs the next one.
        audit.signer._mark = type(audit.signer._mark)()
        after = await audit.sign()
        assert after.statement.number == last.statement.number + 1
        assert kinds(await audit.verified()) == [(Kind.HEAD_MISSING, 1)]
    finally:
        file.write_bytes(kept + file.read_bytes())
    assert (await audit.verified()).findings == []


async def test_half_a_line_that_a_crash_left_is_no_finding(audit: Audit) -> None:
    last = await audit.sign()
    (file,) = audit.settings.heads.glob(f"*{SUFFIX}")
    with file.open("ab") as out:
        out.write(last.line[:100])
    assert audit.heads.last() == last
    await audit.sign()
    assert (await audit.verified()).findings == []


async def test_heads_stay_verifiable_after_the_key_is_rotated(
    audit: Audit, openbao: OpenBaoStore
) -> None:
    before = await audit.sign()
    root = hvac.Client(url=openbao.part.addr, token=openbao.part.root_token())
    root.secrets.transit.rotate_key(name=KEY)
    after = await audit.sign()
    assert before.signature.split(":")[1] != after.signature.split(":")[1]
    assert (await audit.verified()).findings == []


def account(openbao: OpenBaoStore, name: str) -> hvac.Client:
    client = hvac.Client(url=openbao.part.addr)
    body = {"role": name, "jwt": openbao.token_file(name).read_text()}
    login = client.adapter.post("/v1/auth/kubernetes/login", json=body)
    client.token = login["auth"]["client_token"]
    return client


@pytest.mark.parametrize("name", ["bpctl", "payments", "router"])
async def test_only_audit_signs_and_nobody_reads_the_key(
    openbao: OpenBaoStore, name: str, audit: Audit
) -> None:
    root = hvac.Client(url=openbao.part.addr, token=openbao.part.root_token())
    with pytest.raises(hvac.exceptions.InvalidRequest, match="not exportable"):
        root.adapter.get(f"/v1/transit/export/signing-key/{KEY}")
    with pytest.raises(hvac.exceptions.InvalidRequest, match="deletion is not allowed"):
        root.adapter.delete(f"/v1/transit/keys/{KEY}")
    with pytest.raises(hvac.exceptions.Forbidden):
        account(openbao, name).adapter.post(f"/v1/transit/sign/{KEY}", json={"input": "aGk="})
