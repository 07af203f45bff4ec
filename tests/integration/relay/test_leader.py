"""One session reads the outbox, even if two versions run, and the next takes over when it ends."""

from pathlib import Path

import asyncpg

from ops.waiting import until
from services.chassis.postgres import load_queries
from services.relay.store import QUERIES_FILE
from tests.integration.relay.outbox import append, start_relay
from tests.rigs.stores import KafkaStore, PostgresStore

SQL = load_queries(QUERIES_FILE)
LOCK_OF_BEFORE = "SELECT pg_try_advisory_lock(hashtextextended('outbox.relay', 0))"
"""How a relay of the previous version became the active one."""


async def _no_leader(superuser: asyncpg.Pool) -> None:
    async def ended() -> bool:
        return await superuser.fetchval(
            "SELECT NOT EXISTS (SELECT FROM outbox.leader l"
            " JOIN pg_stat_activity a ON a.pid = l.pid AND a.backend_start = l.start_time)"
        )

    await until(ended, 20, "the session of the last relay ends")


async def test_the_next_session_leads_when_the_first_one_ends(
    postgres: PostgresStore, superuser: asyncpg.Pool
) -> None:
    await _no_leader(superuser)
    first, second = await postgres.session("bp_relay"), await postgres.session("bp_relay")
    try:
        assert await first.fetchval(SQL.try_lead)
        assert await first.fetchval(SQL.try_lead)
        assert not await second.fetchval(SQL.try_lead)
        first.terminate()
        await until(lambda: second.fetchval(SQL.try_lead), 20, "the second session leads")
    finally:
        await second.close()


async def test_a_relay_of_the_previous_version_and_a_new_one_never_read_at_the_same_time(
    postgres: PostgresStore, superuser: asyncpg.Pool
) -> None:
    await _no_leader(superuser)
    event_id = await append(superuser, "payments")
    old, new = await postgres.session("bp_relay"), await postgres.session("bp_relay")
    try:
        assert await old.fetchval(LOCK_OF_BEFORE)
        assert [row["event_id"] for row in await old.fetch(SQL.next_batch, 100, [])] == [event_id]
        assert not await new.fetchval(SQL.try_lead)
        assert await new.fetch(SQL.next_batch, 100, []) == []
        await old.close()
        await until(lambda: new.fetchval(SQL.try_lead), 20, "the new relay leads")
        old = await postgres.session("bp_relay")
        assert await old.fetchval(LOCK_OF_BEFORE), "the new relay does not take this lock"
        assert await old.fetch(SQL.next_batch, 100, []) == []
        assert [row["event_id"] for row in await new.fetch(SQL.next_batch, 100, [])] == [event_id]
    finally:
        await old.close()
        await new.close()
        await superuser.execute("DELETE FROM outbox.event WHERE event_id = $1", event_id)


async def test_an_advisory_lock_of_another_login_does_not_stop_a_relay(
    postgres: PostgresStore, kafka: KafkaStore, superuser: asyncpg.Pool, relay_log: Path
) -> None:
    other = await postgres.session("bp_reviewer")
    assert await other.fetchval(LOCK_OF_BEFORE)
    relay = await start_relay(postgres, kafka, relay_log)
    try:
        event_id = await append(superuser, "payments")
        sql = "SELECT EXISTS (SELECT FROM outbox.published WHERE event_id = $1)"
        await until(lambda: superuser.fetchval(sql, event_id), 60, "the event is published")
    finally:
        await relay.kill()
        await other.close()
