"""Signing of many heads, after many requests, and by only one process at a time."""

import asyncio
import threading
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from ops.waiting import until
from services.audit import signing as signing_module
from services.audit.head_files import HeadFiles
from services.audit.heads import Signed, Statement
from services.audit.notary import Notary
from services.audit.settings import TOPIC
from services.audit.signing import CHANNEL, Signer
from services.audit.store import Store
from services.chassis.postgres import connect
from services.chassis.vault import Vault
from services.kernel.ids import new_id
from tests.integration.audit.rig import Audit, audit_event, recorded
from tests.rigs import sample_events
from tests.rigs.stores import KafkaStore, PostgresStore

STATEMENTS = 501
TURNS = 8
"""Statements of two processes together."""
ASKED_APART_S = 4.0
"""Less than the service's five seconds, because two clocks measure it."""
SHORTENED = 4
"""Divides both times, so that the test waits less."""


async def test_more_signed_heads_than_openbao_takes_in_one_request_are_verified(
    audit: Audit,
) -> None:
    while (await audit.sign()).statement.number < STATEMENTS:
        pass
    report = await audit.verified()
    assert report.signed_heads >= STATEMENTS
    assert report.findings == []


async def test_many_requests_for_a_head_sign_few(
    audit: Audit, postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_module, "ASKED_EVERY_S", signing_module.ASKED_EVERY_S / SHORTENED)
    before = (await audit.sign()).statement.number
    service = partial(connect, postgres.database("bp_audit", "bp_audit"), "test")
    judge = await connect(postgres.database("bp_judge", "bp_audit"), "test")
    signing = asyncio.create_task(audit.signer.run(service, 3600))

    async def three_signed() -> bool:
        await judge.execute("SELECT pg_notify($1, '')", CHANNEL)
        last = audit.heads.last()
        return last is not None and last.statement.number >= before + 3

    try:
        await until(three_signed)
    finally:
        signing.cancel()
        await asyncio.gather(signing, return_exceptions=True)
        await judge.close()
    new = [s.statement for s in audit.heads.statements() if s.statement.number > before]
    # The first statement is signed immediately, so only the last two show the wait in between.
    apart = (new[-1].sign_time - new[-2].sign_time).total_seconds()
    assert apart >= ASKED_APART_S / SHORTENED


class SlowNotary(Notary):
    """Signs when the test allows it, like an OpenBao that answers slowly."""

    def __init__(self, vault: Vault) -> None:
        super().__init__(vault)
        self.signing = asyncio.Event()
        self.let = asyncio.Event()

    async def sign(self, statement: Statement) -> Signed:
        """Wait, then sign."""
        self.signing.set()
        await self.let.wait()
        return await super().sign(statement)


async def end_turn(owner: asyncpg.Connection) -> None:
    """End the session that holds the lock for signing."""
    ended = await owner.fetch(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks"
        " WHERE locktype = 'advisory' AND classid = 20311"
    )
    assert len(ended) == 1


async def outcome_of_two_signers(
    audit: Audit, owner: asyncpg.Connection
) -> tuple[Signed, Signed | BaseException | None]:
    """Let a signer lose its session while OpenBao answers and another signer signs."""
    vault = Vault(audit.settings)
    await vault.login()
    slow = SlowNotary(vault)
    delayed = asyncio.create_task(Signer(audit.store, audit.heads, slow).sign(even_unchanged=True))
    await slow.signing.wait()
    await end_turn(owner)
    between = await audit.sign()
    slow.let.set()
    (outcome,) = await asyncio.gather(delayed, return_exceptions=True)
    return between, outcome


async def test_a_signer_whose_session_ended_keeps_no_statement(
    audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    await audit.sign()
    between, outcome = await outcome_of_two_signers(audit, audit_owner)
    assert isinstance(outcome, BaseException), "its lock is lost"
    assert audit.heads.last() == between
    assert (await audit.verified()).findings == []


class SlowHeads(HeadFiles):
    """Stores a statement only when the test allows it, like a suspended process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.appending = threading.Event()
        self.let = threading.Event()

    def append(self, signed: Signed) -> bool:
        """Wait, then store it."""
        self.appending.set()
        self.let.wait()
        return super().append(signed)


async def test_a_signer_that_was_suspended_before_it_kept_its_statement_keeps_none(
    audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    await audit.sign()
    slow = SlowHeads(audit.settings.heads)
    vault = Vault(audit.settings)
    await vault.login()
    signer = Signer(audit.store, slow, Notary(vault))
    delayed = asyncio.create_task(signer.sign(even_unchanged=True))
    try:
        await asyncio.to_thread(slow.appending.wait)
        await end_turn(audit_owner)
        between = await audit.sign()
    finally:
        slow.let.set()
        await asyncio.gather(delayed, return_exceptions=True)
    assert audit.heads.last() == between
    assert (await audit.verified()).findings == []


async def test_two_processes_that_sign_while_events_arrive_lose_no_head(
    kafka: KafkaStore, postgres: PostgresStore, audit: Audit, audit_owner: asyncpg.Connection
) -> None:
    before = (await audit.sign()).statement.number
    vault = Vault(audit.settings)
    await vault.login()
    pool = await postgres.pool("bp_audit", 3, "bp_audit")
    other = Signer(Store(pool), HeadFiles(audit.settings.heads), Notary(vault))
    kept: list[Signed | None] = []

    async def signing(signer: Signer) -> None:
        while len([one for one in kept if one is not None]) < TURNS:
            kept.append(await signer.sign(even_unchanged=True))

    ids = [str(new_id()) for _ in range(TURNS)]
    async with asyncio.TaskGroup() as group:
        for signer in (audit.signer, other):
            group.create_task(signing(signer))
        for one in ids:
            value = (one.encode(), audit_event(one).SerializeToString())
            await asyncio.to_thread(sample_events.write_raw, kafka.bootstrap, TOPIC, [value])
    await recorded(audit_owner, ids, len(ids))
    await pool.close()
    numbers = sorted(one.statement.number for one in kept if one is not None)
    assert numbers == [*range(before + 1, before + 1 + len(numbers))]
    assert (await audit.verified()).findings == []


async def test_a_mark_that_another_process_moved_is_not_replaced(audit: Audit) -> None:
    vault = Vault(audit.settings)
    await vault.login()
    notary = Notary(vault)
    kept = await notary.mark()
    signed = await audit.sign()
    assert not await notary.keep_mark(kept.mark, version=kept.version)
    assert (await notary.mark()).mark.number == signed.statement.number
