"""Any login can fill the cluster's queue of notifications. That stops no payment and no balance."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from ops.bpctl import audit
from services.audit.head_files import HeadFiles
from services.chassis.boundary import translate
from services.chassis.kafka.dlq import is_down
from services.customers.state import Balance
from services.customers.store import Store
from services.kernel import errors
from services.kernel.ids import new_id
from services.kernel.money import Money
from services.relay.metrics import Metrics
from services.relay.upkeep import Upkeep
from tests.rigs.stores import PostgresStore

APPEND = "SELECT outbox.append('payments', $1, $2, 'bp.payments.v1.TransferDebited', $3, '')"
APPEND_GROUP = """
SELECT outbox.append_group('payments', ARRAY[
    ROW($1, $2, 'bp.payments.v1.TransferDebited', $3, '', NULL, '{}')::outbox.draft])
"""
NOTIFY = "SELECT pg_notify('any', repeat('y', 7000))"
MESSAGES_MAX = 200
"""More than fit into the small queue of the tests."""


@pytest_asyncio.fixture(autouse=True)
async def _freed(postgres: PostgresStore) -> AsyncGenerator[None]:
    yield
    session = await postgres.session("postgres")
    await session.execute("SELECT pg_notification_queue_usage()")
    await session.close()


async def _fill(writer: asyncpg.Connection) -> None:
    for _ in range(MESSAGES_MAX):
        await writer.execute(NOTIFY)


@asynccontextmanager
async def _full_queue(postgres: PostgresStore) -> AsyncGenerator[asyncpg.PostgresError]:
    """Fill the queue as the reviewer's login and keep it full; yield the error of one more."""
    holder, writer = [await postgres.session("bp_reviewer") for _ in range(2)]
    try:
        await holder.execute("LISTEN any_channel")
        async with holder.transaction():
            await holder.execute("SELECT pg_current_snapshot()")
            with pytest.raises(asyncpg.ProgramLimitExceededError, match="NOTIFY") as full:
                await _fill(writer)
            yield full.value
    finally:
        await holder.close()
        await writer.close()


async def test_a_full_queue_of_notifications_fails_no_payment(postgres: PostgresStore) -> None:
    session = await postgres.session("postgres")
    async with _full_queue(postgres):
        try:
            for statement in (APPEND, APPEND_GROUP):
                await session.execute(statement, new_id(), new_id(), new_id())
        finally:
            await session.execute("DELETE FROM outbox.event WHERE topic = 'payments'")
            await session.close()


async def test_a_full_queue_of_notifications_stops_no_balance(postgres: PostgresStore) -> None:
    pool = await postgres.pool("bp_customers", 1, "bp_customers")
    store, account = Store(pool), new_id()
    try:
        async with _full_queue(postgres):
            await store.apply([Balance(account, Money(100, "USD"), 1)])
        assert await store.positions([account]) == {account: 1}
    finally:
        await pool.close()


async def test_a_full_queue_of_notifications_is_an_outage(postgres: PostgresStore) -> None:
    """A caller gets 503 and retries; the reader of a topic retries and parks no event."""
    async with _full_queue(postgres) as error:
        assert isinstance(translate(error, "/any"), errors.DependencyUnavailable)
        assert is_down(error)
    too_large = asyncpg.ProgramLimitExceededError("too large for an index")
    assert isinstance(translate(too_large, "/any"), errors.InternalError)
    assert not is_down(too_large)


async def test_a_full_queue_of_notifications_stops_no_verification_of_the_audit_log(
    postgres: PostgresStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report says that the audit service could not be asked, or that it did not answer."""
    monkeypatch.setattr(audit, "SIGNED_WITHIN_S", 0.01)
    session, heads = await postgres.session("bp_judge", "bp_audit"), HeadFiles(tmp_path)
    try:
        async with _full_queue(postgres):
            (told,) = await audit.have_signed(session, heads)
        assert "could not be asked for a new signed head" in told
        assert await session.fetchval("SELECT pg_notification_queue_usage()") == 0
        (told,) = await audit.have_signed(session, heads)
        assert "signed no new head in time" in told
    finally:
        await session.close()


async def test_the_relay_frees_the_queue_once_the_login_has_left(postgres: PostgresStore) -> None:
    """PostgreSQL frees it only when a listener reads or when somebody asks for its usage."""
    async with _full_queue(postgres):
        pass
    session, pool = await postgres.session("bp_judge"), await postgres.pool("bp_relay", 1)
    measured = Metrics()
    try:
        with pytest.raises(asyncpg.ProgramLimitExceededError):
            await session.execute(NOTIFY)
        await Upkeep(pool, measured, 1).free_notifications()
        await session.execute(NOTIFY)
    finally:
        await session.close()
        await pool.close()
    assert measured.registry.get_sample_value("bp_notification_queue_usage_ratio") == 0
