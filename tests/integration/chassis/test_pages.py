"""Pages seek: their statements read an index from the cursor on, and no rows before it.

A generic plan, which PostgreSQL uses after some calls, cannot drop a condition such as "the cursor
is NULL or ...", so it reads and discards every row before the page.
"""

import re
from pathlib import Path

import pytest

from services.chassis.postgres import load_queries
from tests.rigs.stores import PostgresStore

SERVICES = Path(__file__).parents[3] / "services"

LAST = "uuid_in('ffffffff-ffff-ffff-ffff-ffffffffffff')"
"""The cursor of a first page."""

FIRST = "uuid_in('00000000-0000-0000-0000-000000000000')"
"""The lowest id of a list without a limit of time."""

PAGES = {
    "payments transfers_of_account": (
        "bp_write",
        f"0, {LAST}, {LAST}, {LAST}, {FIRST}, now(), now(), 50",
        "transfer_id",
    ),
    "payments transfers_of_account_in_state": (
        "bp_write",
        f"0, {LAST}, {LAST}, {LAST}, {FIRST}, now(), now(), 'FAILED', 50",
        "transfer_id state",
    ),
    "payments claim_return_checks": ("bp_write", "now(), now(), 16", "shard transfer_id"),
    "payments unreported_reviews": ("bp_write", f"64, {FIRST}", "transfer_id"),
    "payments unreported_declines": ("bp_write", "now(), 64", "hour"),
    "transfers transfers_of_account": (
        "bp_write",
        f"0, {LAST}, {LAST}, 50, {FIRST}, now(), now()",
        "transfer_id",
    ),
    "customers accounts": ("bp_customers", f"{LAST}, {LAST}, 50", "account_id"),
    "audit by_subject": ("bp_audit", "'transfers/1', 0, 0, 50", "chain sequence"),
    "audit by_chain": ("bp_audit", "0, 0, 50", "sequence"),
    "audit recorded": ("bp_audit", f"ARRAY[{LAST}], {LAST}, {LAST}", "event_id"),
    "audit recorded_links": ("bp_audit", f"ARRAY[{LAST}], {LAST}, {LAST}", "event_id"),
    "audit links_outside": ("bp_audit", "12", "chain"),
    "auth sessions": ("bp_auth", f"{LAST}, {LAST}, now(), 50", "session_id|device_id"),
    "auth devices": ("bp_auth", f"{LAST}, now(), {LAST}, 50", "customer_id last_login_time"),
}
"""Service and query -> the database, arguments, and the columns that must bound the index scan."""


PLANT_TRACES = """
INSERT INTO payments.interbank_transfer (shard, transfer_id, customer_id, account_id, amount,
    currency, beneficiary_name, routing_number, account_number, account_type, memo, fraud_review,
    state, trace_number, idempotency_key, correlation_id, traceparent, create_time, update_time,
    lease_owner, lease_until)
SELECT 0, ledger.new_id(0), uuidv7(), ledger.new_id(0), 1, 'USD', '', '', '', '', '', false,
    'COMPLETED', lpad(n::text, 15, '9'), '', '', '', now(), now(), '', now()
FROM generate_series(1, 3000) n;
ANALYZE payments.interbank_transfer;
"""
"""Nearly every transfer of a bank has a trace number of its own; those of other tests may not."""


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_begins_in_the_index(postgres: PostgresStore, page: str) -> None:
    service, name = page.split()
    database, arguments, columns = PAGES[page]
    sql = getattr(load_queries(SERVICES / service / "sql" / "queries.sql"), name).rstrip("; \n")
    await _begins_in_the_index(postgres, database, sql, arguments, columns)


async def test_transfers_with_the_same_trace_number_are_found_by_their_index(
    postgres: PostgresStore,
) -> None:
    sql = load_queries(SERVICES / "payments" / "sql" / "queries.sql").taken_traces
    arguments = f"ARRAY[{LAST}], ARRAY['1'], now()"
    await _begins_in_the_index(
        postgres, "bp_write", sql, arguments, "trace_number", plant=PLANT_TRACES
    )


async def test_a_page_of_a_statement_begins_in_the_index(postgres: PostgresStore) -> None:
    """A plan does not show what a function reads, so this plans the function's inner statement."""
    file = SERVICES / "ledger" / "sql" / "functions" / "statement.sql"
    body = file.read_text().split("$$")[1]
    parameters = ("statement.account_id", "above_position", "below_position", "kinds")
    for number, name in enumerate((*parameters, "received_only", "page_rows"), 1):
        body = body.replace(name, f"${number}")
    body = body.replace("($4 IS", "($4::text[] IS")
    arguments = f"{LAST}, 0, 1000, ARRAY['BOOK_TRANSFER'], false, 50"
    await _begins_in_the_index(postgres, "bp_write", body, arguments, "account_id position")


async def test_a_page_of_kept_notices_begins_in_the_index(postgres: PostgresStore) -> None:
    sql = load_queries(SERVICES / "payments" / "sql" / "queries.sql").matching_notices
    plan = await _plan(postgres, "bp_write", sql, "64, ARRAY['transfer.completed'], 'id'")
    at = next(n for n, line in enumerate(plan) if "ach_notice_kept" in line)
    assert re.search(r"Index Cond: .*\breceive_time\b", plan[at + 1]), plan


async def test_new_trace_numbers_are_found_by_the_indexes_of_the_next_question(
    postgres: PostgresStore,
) -> None:
    sql = load_queries(SERVICES / "payments" / "sql" / "queries.sql").learned_traces
    times = "now(), now(), interval '6 days', interval '6 days', 1000"
    plan = await _plan(postgres, "bp_write", sql, times)
    scans = [line for line in plan if re.search(r"Scan on (interbank_transfer|late_return)", line)]
    assert not scans, plan
    bounds = [line for line in plan if "Index Cond" in line]
    assert any("lease_until" in line for line in bounds), plan
    assert any("due_time" in line for line in bounds), plan
    assert not any("lease_until" in line or "due_time" in line for line in _filters(plan)), plan


async def _begins_in_the_index(
    postgres: PostgresStore,
    database: str,
    sql: str,
    arguments: str,
    columns: str,
    plant: str = "",
) -> None:
    plan = await _plan(postgres, database, sql, arguments, plant)
    bounds = [line for line in plan if "Index Cond" in line]
    assert bounds, plan
    for column in columns.split():
        assert all(re.search(rf"\b{column}\b", line) for line in bounds), plan
        assert not any(re.search(rf"\b{column}\b", line) for line in _filters(plan)), plan


async def _plan(
    postgres: PostgresStore, database: str, sql: str, arguments: str, plant: str = ""
) -> list[str]:
    """Return the lines of a statement's generic plan; `plant` adds rows that are not kept."""
    connection = await postgres.session("postgres", database)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            f"{plant} SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;"
            f" SET enable_bitmapscan = off; PREPARE page AS {sql}"
        )
        return [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE page({arguments})")]
    finally:
        await transaction.rollback()
        await connection.close()


def _filters(plan: list[str]) -> list[str]:
    return [line for line in plan if "Filter" in line]


async def test_a_claim_of_return_checks_reads_only_those_that_are_due(
    postgres: PostgresStore,
) -> None:
    """A plan does not show what a function reads, so this plans the function's inner statement."""
    file = SERVICES / "payments" / "sql" / "functions" / "claim_return_checks.sql"
    sql = file.read_text().split("$$")[1]
    for number, name in enumerate((" until,", " before\n", " rows_max\n"), 1):
        assert name in sql
        sql = sql.replace(name, f" ${number}{name[-1]}")
    connection = await postgres.session("postgres", "bp_write")
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            "INSERT INTO payments.late_return_check (shard, transfer_id, settle_time, due_time)"
            " SELECT 0, gen_random_uuid(), now(), now() + interval '1 day'"
            " FROM generate_series(1, 40000)"
        )
        await connection.execute("ANALYZE payments.late_return_check")
        await connection.execute(
            "SET LOCAL plan_cache_mode = force_generic_plan;"
            f" PREPARE claim (timestamptz, timestamptz, integer) AS {sql}"
        )
        rows = await connection.fetch("EXPLAIN EXECUTE claim(now(), now(), 16)")
    finally:
        await transaction.rollback()
        await connection.close()
    plan = [row[0] for row in rows]
    assert not any("Seq Scan on late_return_check" in line for line in plan), plan
    assert any("late_return_check_due" in line for line in plan), plan
