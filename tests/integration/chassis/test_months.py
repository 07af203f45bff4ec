"""Monthly partitions: the same functions create them for every table that grows with time."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.rigs.stores import PostgresStore

TABLES = {
    "ledger.entry": "bp_write",
    "outbox.published": "bp_write",
    "payments.interbank_transfer": "bp_write",
    "payments.declined_order": "bp_write",
    "transfers.book_transfer": "bp_write",
    "transfers.declined_order": "bp_write",
    "notif.notification": "bp_notifications",
    "notif.delivery": "bp_notifications",
    "audit.record": "bp_audit",
    "auth.session": "bp_auth",
    "auth.event": "bp_auth",
}

PARTITIONS = """
SELECT c.relname,
    c.reloptions::text AS options,
    has_table_privilege('bp_judge', c.oid, 'SELECT') AS the_judge_reads,
    pg_get_userbyid(c.relowner) AS owner,
    (SELECT array_agg(replace(pg_get_indexdef(x.indexrelid), c.relname, '')
         ORDER BY x.indkey::text, pg_get_indexdef(x.indexrelid))::text
     FROM pg_index x WHERE x.indrelid = c.oid) AS indexes,
    (SELECT array_agg(replace(pg_get_constraintdef(k.oid), c.relname, '')
         ORDER BY k.contype, pg_get_constraintdef(k.oid))::text
     FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f')) AS constraints,
    (SELECT array_agg(replace(pg_get_triggerdef(t.oid), c.relname, '') ORDER BY t.tgname)::text
     FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) AS triggers
FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid
WHERE h.inhparent = $1::text::regclass AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
"""


@pytest.mark.parametrize("table", TABLES)
async def test_a_partition_that_is_made_later_equals_those_of_the_first_migrations(
    postgres: PostgresStore, table: str
) -> None:
    schema = table.partition(".")[0]
    connection = await postgres.session("postgres", TABLES[table])
    ensure = f"SELECT {schema}.ensure_partitions(3, $1)"
    try:
        async with connection.transaction():
            await connection.execute(f"SELECT {schema}.ensure_partitions()")
            before: list[Any] = await connection.fetch(PARTITIONS, table)
            # Other tests of the session may have created any number of months.
            last = max(row["relname"][-7:] for row in before)
            later = datetime.strptime(f"{last}+0000", "%Y_%m%z") + timedelta(days=70)
            assert (await connection.fetchval(ensure, later) or 0) >= 3
            made: list[Any] = await connection.fetch(PARTITIONS, table)
            assert len(made) >= len(before) + 3
            assert len({tuple(row)[1:] for row in made}) == 1, made
            assert await connection.fetchval(ensure, later) == 0
            raise _TakeBack
    except _TakeBack:
        pass
    finally:
        await connection.close()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
async def test_months_begin_at_midnight_utc_in_every_time_zone_of_the_session(
    postgres: PostgresStore, zone: str
) -> None:
    """A server in New York had a day without a partition, and the service restarted all day."""
    connection = await postgres.session("postgres", "bp_audit")
    may = datetime(2031, 5, 1, tzinfo=UTC)
    try:
        await _plant_toys(connection, datetime(2031, 9, 1, tzinfo=UTC))
        await connection.execute(f"SET timezone = '{zone}'")
        await connection.execute("SELECT chassis.ensure_months('toys.game', 0, $1)", may)
        bounds = await connection.fetchval(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'game_2031_05'"
        )
        ids = [
            await connection.fetchval("SELECT chassis.id_floor($1)", each)
            for each in (may, datetime(2031, 6, 1, tzinfo=UTC))
        ]
    finally:
        await connection.close()
    assert bounds == f"FOR VALUES FROM ('{ids[0]}') TO ('{ids[1]}')"


async def test_a_month_whose_rows_are_in_the_default_partition_gets_none(
    postgres: PostgresStore,
) -> None:
    """PostgreSQL refuses a partition for rows that are already in the default partition."""
    connection = await postgres.session("postgres", "bp_audit")
    may = datetime(2031, 5, 17, tzinfo=UTC)
    try:
        await _plant_toys(connection, may)
        made = await connection.fetchval("SELECT chassis.ensure_months('toys.game', 1, $1)", may)
        names = await connection.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'toys.game'::regclass ORDER BY 1"
        )
    finally:
        await connection.close()
    assert made == 2
    assert [row[0] for row in names] == [
        "toys.game_2031_04",
        "toys.game_2031_06",
        "toys.game_other",
    ]


@pytest.mark.parametrize("join", ["hashjoin", "mergejoin", "nestloop"])
async def test_old_months_are_dropped_and_other_rows_stay_whatever_the_plan(
    postgres: PostgresStore, join: str
) -> None:
    """The name of the partition for other rows was read as a month, if a plan tested it first."""
    connection = await postgres.session("postgres", "bp_audit")
    try:
        await _plant_toys(connection, datetime(2031, 5, 17, tzinfo=UTC))
        await connection.execute(
            "CREATE TABLE toys.game_2020_01 PARTITION OF toys.game"
            f" FOR VALUES FROM ('{uuid.UUID(int=0)}') TO ('{uuid.UUID(int=1)}')"
        )
        for other in {"hashjoin", "mergejoin", "nestloop"} - {join}:
            await connection.execute(f"SET LOCAL enable_{other} = off")
        dropped = await connection.fetchval(
            "SELECT chassis.drop_months('toys.game', interval '60 days')"
        )
        rows = await connection.fetchval("SELECT count(*) FROM toys.game_other")
    finally:
        await connection.close()
    assert (dropped, rows) == (1, 1)


@pytest.mark.parametrize("arguments", ["61, now()", "-1, now()", "0, now() - interval '11 years'"])
async def test_a_call_for_too_many_or_distant_months_is_refused(
    postgres: PostgresStore, arguments: str
) -> None:
    """2,500 months in one call filled the lock table of the whole cluster."""
    connection = await postgres.session("bp_payments")
    try:
        with pytest.raises(asyncpg.InvalidParameterValueError, match="at most 60 months"):
            await connection.execute(f"SELECT payments.ensure_partitions({arguments})")
    finally:
        await connection.close()


async def _plant_toys(connection: asyncpg.Connection, instant: datetime) -> None:
    """Begin a transaction and create a table with one stray row; closing the connection rolls it
    back."""
    await connection.execute(
        "BEGIN; CREATE SCHEMA toys; CREATE TABLE toys.game (id uuid PRIMARY KEY)"
        " PARTITION BY RANGE (id); CREATE TABLE toys.game_other PARTITION OF toys.game DEFAULT"
    )
    await connection.execute("INSERT INTO toys.game VALUES (chassis.id_floor($1))", instant)


class _TakeBack(Exception):
    """Rolls back a transaction whose changes no other test may see."""
