"""The pool of connections of a service."""

import asyncio

import pytest

from ops.waiting import scaled_s
from services.chassis import postgres as chassis_postgres
from services.chassis.postgres import open_pool
from tests.rigs.stores import PostgresStore


async def test_a_call_waits_for_a_connection_for_a_limited_time(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls whose callers left would pile up while PostgreSQL hangs."""
    monkeypatch.setattr(chassis_postgres, "ACQUIRE_TIMEOUT_S", 0.2)
    async with await open_pool(postgres.database("bp_auth", "bp_auth"), "test", 1) as pool:
        async with pool.acquire():
            calls = (pool.execute, pool.fetch, pool.fetchrow, pool.fetchval)
            waiting = [asyncio.create_task(call("SELECT 1")) for call in calls]
            done, late = await asyncio.wait(waiting, timeout=scaled_s(3))
            for call in late:
                call.cancel()
        assert not late
        assert [type(call.exception()) for call in done] == [TimeoutError] * len(calls)
        assert await pool.fetchval("SELECT 1") == 1
