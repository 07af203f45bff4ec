"""An attacker with a service's login can do only what the service's code does.

The list below is complete: a right that is missing here or in the database fails the test.
Functions of schema `chassis` are omitted, because they run with the rights of their caller. Of
PostgreSQL's own functions, only those that write are in question.
"""

import re

import asyncpg
import pytest

from ops.provision.databases import logins
from ops.provision.roster import REPO
from tests.rigs.stores import PostgresStore

SERVICES = REPO / "services"

RIGHTS = """
SELECT 'EXECUTE ' || n.nspname || '.' || p.proname
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname <> 'chassis' AND has_function_privilege($1, p.oid, 'EXECUTE')
    AND has_schema_privilege($1, n.oid, 'USAGE') AND n.nspname !~ '^(pg_|information_schema$)'
UNION
SELECT CASE WHEN has_table_privilege($1, c.oid, r) THEN r
        ELSE r || '(' || (SELECT string_agg(a.attname, ', ' ORDER BY a.attname) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND has_column_privilege($1, c.oid, a.attnum, r)) || ')' END
    || ' ' || n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) r
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_any_column_privilege($1, c.oid, r)
    AND has_schema_privilege($1, n.oid, 'USAGE') AND n.nspname !~ '^(pg_|information_schema$)'
UNION
SELECT r || ' ' || n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER', 'MAINTAIN']) r
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_table_privilege($1, c.oid, r)
    AND has_schema_privilege($1, n.oid, 'USAGE') AND n.nspname !~ '^(pg_|information_schema$)'
UNION
SELECT 'EXECUTE pg_catalog.' || p.proname FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege($1, p.oid, 'EXECUTE')
    AND (p.prosrc ~ '^be_lo' OR p.proname IN ('pg_logical_emit_message', 'pg_export_snapshot'))
UNION
SELECT 'sequence ' || c.oid::regclass FROM pg_class c
WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege($1, c.oid, 'USAGE, UPDATE') END
UNION
SELECT 'CREATE in ' || n.nspname FROM pg_namespace n WHERE has_schema_privilege($1, n.oid, 'CREATE')
UNION
SELECT r || ' in the database' FROM unnest(ARRAY['CREATE', 'TEMPORARY']) r
WHERE has_database_privilege($1, current_database(), r)
"""

OF_PAYMENTS = """
EXECUTE ledger.held_accounts
EXECUTE ledger.holders_of_accounts
EXECUTE ledger.shard_of
EXECUTE payments.advance
EXECUTE payments.advance_group
EXECUTE payments.check_return_at
EXECUTE payments.check_return_by
EXECUTE payments.claim_return_checks
EXECUTE payments.close_notice
EXECUTE payments.debit
EXECUTE payments.debit_each
EXECUTE payments.decline
EXECUTE payments.decline_group
EXECUTE payments.drop_old_declines
EXECUTE payments.end_return_checks
EXECUTE payments.ensure_partitions
EXECUTE payments.find_keys
EXECUTE payments.forget_keys
EXECUTE payments.give_up_notices
EXECUTE payments.held_keys
EXECUTE payments.held_transfers
EXECUTE payments.keep_conflict
EXECUTE payments.keep_notice
EXECUTE payments.known_beneficiaries
EXECUTE payments.put_aside
EXECUTE payments.report_declines
EXECUTE payments.report_review
EXECUTE payments.set_review_effect
SELECT payments.ach_notice
SELECT payments.declines_of_hour
SELECT payments.idempotency_key
SELECT payments.interbank_transfer
SELECT payments.late_return_check
SELECT payments.review_decision
SELECT payments.traces_compared
INSERT payments.traces_compared
UPDATE(accepted_response, attempts, lease_owner, lease_until) payments.interbank_transfer
UPDATE payments.traces_compared
"""

OF_THE_PREVIOUS_PAYMENTS = """
INSERT payments.ach_notice
UPDATE(receive_time, state) payments.ach_notice
UPDATE(attempts, due_time) payments.late_return_check
DELETE payments.late_return_check
"""
"""Statements of the previous version need these. Row security prevents any change."""

OF_TRANSFERS = """
EXECUTE ledger.ensure_partitions
EXECUTE ledger.held_accounts
EXECUTE ledger.holders_of_accounts
EXECUTE ledger.position_before
EXECUTE ledger.shard_of
EXECUTE ledger.statement
EXECUTE payments.beneficiary
EXECUTE payments.held_keys
EXECUTE transfers.decline_group
EXECUTE transfers.drop_old_declines
EXECUTE transfers.ensure_partitions
EXECUTE transfers.forget_keys
EXECUTE transfers.known_beneficiaries
EXECUTE transfers.post_book_transfer
EXECUTE transfers.post_book_transfers
EXECUTE transfers.replay
SELECT transfers.book_transfer
"""

OF_RELAY = """
EXECUTE ledger.ensure_partitions
EXECUTE ledger.roll_up
EXECUTE outbox.backlog
EXECUTE outbox.drop_published
EXECUTE outbox.ensure_partitions
EXECUTE outbox.mark_published
EXECUTE outbox.next_batch
EXECUTE outbox.park
EXECUTE outbox.set_asleep
EXECUTE outbox.try_lead
"""

OF_CUSTOMERS = """
SELECT customers.account
SELECT customers.balance
SELECT customers.customer
INSERT customers.balance
UPDATE(balance, currency, position) customers.balance
"""

OF_NOTIFICATIONS = """
EXECUTE notif.ensure_partitions
SELECT notif.delivery
SELECT notif.device
SELECT notif.notification
INSERT notif.delivery
INSERT notif.notification
UPDATE(attempts, deliver_time, detail, next_attempt_time, state) notif.delivery
DELETE notif.device
"""

OF_AUDIT = """
EXECUTE audit.ensure_partitions
EXECUTE audit.lock_chains
EXECUTE audit.try_lock_signing
SELECT audit.record
SELECT audit.repeated
INSERT audit.record
INSERT audit.repeated
"""

OF_AUTH = """
EXECUTE auth.delete_old
EXECUTE auth.drop_old_months
EXECUTE auth.ensure_partitions
SELECT auth.device
SELECT auth.event
SELECT auth.face
SELECT auth.operator_request
SELECT auth.publisher
SELECT auth.recovery_code
SELECT auth.session
SELECT auth.sms_receipt
SELECT auth.totp
SELECT auth.users
INSERT auth.device
INSERT auth.event
INSERT auth.recovery_code
INSERT auth.session
INSERT auth.sms_receipt
INSERT auth.totp
UPDATE(answer_time, ended) auth.operator_request
UPDATE(confirm_time, create_time, last_step, secret_sealed) auth.totp
UPDATE(credential_id, last_login_time, public_key, remove_time, sign_count) auth.device
UPDATE(end_cause, end_time, refresh_time) auth.session
UPDATE(error_code, receipt_time, state) auth.sms_receipt
UPDATE(failed_attempts, last_login, login_epoch, password_change_time, password_hash) auth.users
UPDATE(holder, lease_until) auth.publisher
UPDATE(park_reason, publish_time) auth.event
UPDATE(use_time) auth.recovery_code
DELETE auth.recovery_code
DELETE auth.totp
sequence auth.event_id_seq
"""

OF_THE_OPERATOR = """
EXECUTE auth.answer_to_operator
EXECUTE auth.request_by_operator
"""

MAY = {
    ("bp_payments", "bp_write"): OF_PAYMENTS + OF_THE_PREVIOUS_PAYMENTS,
    ("bp_transfers", "bp_write"): OF_TRANSFERS,
    ("bp_relay", "bp_write"): OF_RELAY,
    ("bp_reviewer", "bp_write"): "EXECUTE payments.decide_review",
    ("bp_operator", "bp_auth"): OF_THE_OPERATOR,
    ("bp_customers", "bp_customers"): OF_CUSTOMERS,
    ("bp_notifications", "bp_notifications"): OF_NOTIFICATIONS,
    ("bp_audit", "bp_audit"): OF_AUDIT,
    ("bp_auth", "bp_auth"): OF_AUTH,
}

ELSEWHERE = {
    "EXECUTE ledger.held_accounts",
    "EXECUTE ledger.holders_of_accounts",
    "EXECUTE outbox.set_asleep",
    "EXECUTE payments.decline",
    "EXECUTE payments.set_review_effect",
}
"""Executed by services/ledger/holds.py, and by the previous version of the services."""

READS_ALL = "bp_judge"
EXECUTED_BY_THE_JUDGE = {"EXECUTE ledger.check", "EXECUTE ledger.shard_of"}


async def _rights(postgres: PostgresStore, login: str, database: str) -> set[str]:
    connection = await postgres.session("postgres", database)
    try:
        return {row[0] for row in await connection.fetch(RIGHTS, login)}
    finally:
        await connection.close()


@pytest.mark.parametrize(("login", "database"), MAY)
def test_a_login_executes_only_what_the_statements_of_its_service_name(
    login: str, database: str
) -> None:
    service = login.removeprefix("bp_")
    files = [*(SERVICES / service).glob("sql/*.sql"), *(REPO / "ops/bpctl").glob("*.py")]
    texts = [file.read_text() for file in files if file.name != "schema.sql"]
    named = {f"EXECUTE {name}" for text in texts for name in re.findall(r"\b(\w+\.\w+)\(", text)}
    rights = MAY[login, database].splitlines()
    executed = {right for right in rights if right.startswith("EXECUTE")}
    assert executed - named - ELSEWHERE == set()


def test_every_login_is_in_the_list() -> None:
    known = {(login, name) for login, names in logins().items() for name in names}
    assert {pair for pair in known if pair[0] != READS_ALL} == MAY.keys()


@pytest.mark.parametrize(("login", "database"), MAY)
async def test_a_login_has_the_rights_that_its_code_uses_and_no_other(
    postgres: PostgresStore, login: str, database: str
) -> None:
    wanted = set(filter(None, MAY[login, database].splitlines()))
    assert await _rights(postgres, login, database) == wanted


@pytest.mark.parametrize("database", logins()[READS_ALL])
async def test_the_judge_reads_everything_and_changes_nothing(
    postgres: PostgresStore, database: str
) -> None:
    rights = await _rights(postgres, READS_ALL, database)
    beyond = {right for right in rights if not right.startswith(("SELECT ", "SELECT("))}
    assert beyond == (EXECUTED_BY_THE_JUDGE if database == "bp_write" else set())


@pytest.mark.parametrize("login", logins())
async def test_a_login_connects_only_to_its_databases(postgres: PostgresStore, login: str) -> None:
    connection = await postgres.session("postgres")
    try:
        rows = await connection.fetch(
            "SELECT datname FROM pg_database"
            " WHERE datallowconn AND has_database_privilege($1, oid, 'CONNECT')",
            login,
        )
    finally:
        await connection.close()
    assert {row["datname"] for row in rows} == set(logins()[login])


async def test_no_login_is_a_member_of_an_owner_or_has_a_right_of_an_administrator(
    postgres: PostgresStore,
) -> None:
    connection = await postgres.session("postgres")
    try:
        member_of = await connection.fetch(
            "SELECT member::regrole::text, roleid::regrole::text FROM pg_auth_members"
            " WHERE member::regrole::text = ANY ($1)",
            [*logins()],
        )
        strong = await connection.fetch(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1) AND (rolsuper OR rolcreaterole"
            " OR rolcreatedb OR rolreplication OR rolbypassrls)",
            [*logins()],
        )
    finally:
        await connection.close()
    assert [*member_of, *strong] == []


REFUSED = (
    "SELECT lo_from_bytea(0, 'any')",
    "SELECT lo_creat(-1)",
    "SELECT pg_logical_emit_message(false, 'any', 'any')",
    "SELECT pg_export_snapshot()",
    "SELECT rolpassword FROM pg_authid",
    "SELECT query FROM public.pg_stat_statements",
    "CREATE TEMPORARY TABLE mine (id integer)",
    "SET temp_file_limit = -1",
)


@pytest.mark.parametrize(
    ("login", "database"), [(one, name) for one, names in logins().items() for name in names]
)
async def test_a_login_writes_nothing_outside_its_tables_and_reads_no_verifier(
    postgres: PostgresStore, login: str, database: str
) -> None:
    session = await postgres.session(login, database)
    try:
        for statement in REFUSED:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await session.execute(statement)
    finally:
        await session.close()


async def test_other_sessions_statements_are_hidden_from_the_judge(postgres: PostgresStore) -> None:
    judge, other = await postgres.session(READS_ALL), await postgres.session("bp_relay")
    try:
        pid = await other.fetchval("SELECT pg_backend_pid()")
        seen = await judge.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
    finally:
        await judge.close()
        await other.close()
    assert seen == "<insufficient privilege>"


@pytest.mark.parametrize("database", logins()[READS_ALL])
async def test_a_function_that_runs_as_its_owner_pins_its_search_path(
    postgres: PostgresStore, database: str
) -> None:
    connection = await postgres.session("postgres", database)
    try:
        loose: list[asyncpg.Record] = await connection.fetch(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef"
            " AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']"
        )
        executable = await connection.fetch(
            "SELECT p.oid::regprocedure::text FROM pg_proc p"
            " JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname = 'chassis' AND p.prosecdef"
        )
    finally:
        await connection.close()
    assert [*loose, *executable] == []
