"""The service changes money only by functions; the owner of its schema cannot log in."""

import asyncpg
import pytest

from tests.rigs.ledger_bank import LedgerBank
from tests.rigs.stores import PostgresStore

FORBIDDEN = [
    "UPDATE payments.interbank_transfer SET state = 'COMPLETED'",
    "UPDATE payments.interbank_transfer SET amount = 1, version = version + 1",
    "UPDATE payments.interbank_transfer SET account_number = '1', beneficiary_name = 'x'",
    "UPDATE payments.interbank_transfer SET fraud_review = false",
    "INSERT INTO payments.interbank_transfer (shard) VALUES (0)",
    "DELETE FROM payments.interbank_transfer",
    "DELETE FROM payments.idempotency_key",
    "INSERT INTO payments.idempotency_key VALUES (0, uuidv7(), 'k', '', uuidv7())",
    "UPDATE payments.ach_notice SET transfer_id = NULL",
    "DELETE FROM payments.ach_notice",
    "UPDATE payments.late_return_check SET settle_time = now()",
    "INSERT INTO payments.late_return_check VALUES (0, uuidv7(), now(), now())",
    "TRUNCATE payments.late_return_check",
    "SELECT ledger.statement(uuidv7(), 1, 1)",
    "DELETE FROM payments.declined_order",
    "UPDATE payments.review_decision SET reviewer = 'x'",
    "SELECT payments.decide_review(uuidv7(), 'CLEARED', 'x', 'x')",
    "SELECT payments.post_transition('SETTLE', uuidv7(), uuidv7(), uuidv7(), 'USD', 1)",
    "SELECT payments.free_refused_keys('{}', '{}')",
    "SELECT payments.finish_partition('payments.interbank_transfer')",
    "SET ROLE payments_owner",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_the_service_cannot_change_a_transfer_without_its_functions(
    postgres: PostgresStore, statement: str
) -> None:
    connection = await postgres.session("bp_payments")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_statements_of_the_previous_version_change_no_notice_and_no_check(
    postgres: PostgresStore, bank: LedgerBank
) -> None:
    """They keep their rights for one release, so they must raise no error either."""
    write = await bank.superuser("bp_write")
    await write.execute(
        "INSERT INTO payments.late_return_check VALUES (0, uuidv7(), now(), 'infinity');"
        "INSERT INTO payments.ach_notice (notice_id, type, trace_number, return_code, state)"
        " VALUES (uuidv7()::text, 'transfer.unknown', '', '', 'KEPT')"
    )
    connection = await postgres.session("bp_payments")
    try:
        done = [
            await connection.execute("DELETE FROM payments.late_return_check"),
            await connection.execute("UPDATE payments.late_return_check SET due_time = now()"),
            await connection.execute(
                "UPDATE payments.ach_notice SET state = 'CONFLICT' WHERE state = 'KEPT'"
            ),
        ]
        keep = (
            "INSERT INTO payments.ach_notice (notice_id, type, trace_number, return_code, state)"
            " VALUES (uuidv7()::text, 'transfer.unknown', '', '', $1) ON CONFLICT DO NOTHING"
        )
        kept = await connection.execute(keep, "KEPT")
        again = (
            "INSERT INTO payments.ach_notice (notice_id, type, trace_number, return_code, state)"
            " VALUES ('query/1/conflict', 'transfer.unknown', '', '', 'CONFLICT')"
            " ON CONFLICT (notice_id) DO UPDATE SET receive_time = clock_timestamp()"
        )
        twice = [await connection.execute(again) for _ in range(2)]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                "UPDATE payments.ach_notice SET state = 'KEPT' WHERE state = 'CONFLICT'"
            )
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(keep, "APPLIED")
    finally:
        await connection.close()
        await write.execute(
            "DELETE FROM payments.late_return_check WHERE due_time = 'infinity';"
            "DELETE FROM payments.ach_notice WHERE type = 'transfer.unknown'"
        )
    assert [*done, kept] == ["DELETE 0", "UPDATE 0", "UPDATE 0", "INSERT 0 1"]
    assert twice == ["INSERT 0 1"] * 2, "a contradiction that is found again"


@pytest.mark.parametrize("schema", ["payments", "transfers", "ledger", "outbox"])
async def test_a_schemas_tables_and_functions_belong_to_a_role_without_login(
    bank: LedgerBank, schema: str
) -> None:
    write = await bank.superuser("bp_write")
    rows = await write.fetch(
        "SELECT c.relowner::regrole::text AS owner FROM pg_class c"
        " WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p', 'S')"
        " UNION SELECT proowner::regrole::text FROM pg_proc"
        " WHERE pronamespace = $1::text::regnamespace",
        schema,
    )
    owners = [row["owner"] for row in rows]
    assert owners == [f"{schema}_owner"]
    role = await write.fetchrow(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles"
        " WHERE rolname = $1",
        owners[0],
    )
    assert role is not None
    assert not any(role.values())


async def test_a_definer_function_pins_its_search_path(bank: LedgerBank) -> None:
    write = await bank.superuser("bp_write")
    loose = await write.fetch(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'payments'::regnamespace"
        " AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']"
    )
    assert loose == []
