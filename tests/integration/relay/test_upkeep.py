"""The relay's upkeep keeps pace with the ledger, no matter how much the ledger posts."""

from datetime import timedelta

import pytest

from services.kernel.clock import utc_now
from services.relay import upkeep
from services.relay.metrics import Metrics
from services.relay.upkeep import Upkeep
from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore


async def test_one_round_folds_all_internal_amounts(
    postgres: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two rounds, a busy ledger posts more rows than one statement folds."""
    bank, pool = LedgerBank(postgres), await postgres.pool("bp_relay")
    write = await bank.superuser("bp_write")

    async def pending() -> int:
        count: int | None = await write.fetchval("SELECT count(*) FROM ledger.internal_pending")
        assert count is not None
        return count

    try:
        # Thousands of rows of other tests would take half a minute with two rows a statement.
        await Upkeep(pool, Metrics(), 1.0).roll_up()
        monkeypatch.setattr(upkeep, "ROLL_UP_ROWS_MAX", 2)
        for cents in range(1, 6):
            await bank.open_holder(cents)
        assert await pending() >= 5
        await Upkeep(pool, Metrics(), 1.0).roll_up()
        assert await pending() < 2
    finally:
        await pool.close()
        await bank.close()


async def test_published_events_are_kept_for_60_days_and_then_dropped_by_month(
    postgres: PostgresStore,
) -> None:
    bank, pool = LedgerBank(postgres), await postgres.pool("bp_relay")
    write = await bank.superuser("bp_write")

    async def months() -> set[str]:
        rows = await write.fetch(
            "SELECT c.relname FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid"
            " WHERE h.inhparent = 'outbox.published'::regclass"
        )
        return {row["relname"] for row in rows}

    def month(days: int) -> str:
        return f"published_{utc_now() - timedelta(days=days):%Y_%m}"

    try:
        for days in (200, 55):
            since = utc_now() - timedelta(days=days)
            await write.execute("SELECT outbox.ensure_partitions(0, $1)", since)
        assert {month(200), month(55), month(0)} <= await months()
        await Upkeep(pool, Metrics(), 1.0).drop_published()
        left = await months()
        assert {month(55), month(0)} <= left
        assert month(200) not in left
    finally:
        await pool.close()
        await bank.close()


async def test_a_month_into_which_an_event_is_still_to_be_published_is_kept(
    postgres: PostgresStore,
) -> None:
    bank = LedgerBank(postgres)
    write = await bank.superuser("bp_write")
    since = utc_now() - timedelta(days=200)
    name = f"published_{since:%Y_%m}"
    try:
        async with write.transaction():
            await write.execute("SELECT outbox.ensure_partitions(0, $1)", since)
            await write.execute(
                "INSERT INTO outbox.parked (id, topic, key, event_id, event_type, subject, payload,"
                " positions, create_time, reason)"
                " VALUES (-1, 'payments', uuidv7(), uuidv7(), 'x', uuidv7(), '', '{}', $1, 'x')",
                since,
            )
            await write.execute("SELECT outbox.drop_published()")
            assert await write.fetchval("SELECT to_regclass($1)", f"outbox.{name}") is not None
            raise _TakeBack
    except _TakeBack:
        pass
    finally:
        await bank.close()


class _TakeBack(Exception):
    """Rolls a transaction back."""
