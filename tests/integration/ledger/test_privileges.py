"""Service roles can neither post to the books nor read their tables.

The list of each role's functions is in tests/integration/chassis/test_rights_of_logins.py.
"""

import asyncpg
import pytest

from tests.rigs.stores import PostgresStore

SERVICES = ("bp_payments", "bp_transfers", "bp_relay")


@pytest.mark.parametrize("role", SERVICES)
@pytest.mark.parametrize("schema", ["ledger", "outbox"])
async def test_a_service_has_no_privilege_on_any_table_or_sequence(
    superuser_pool: asyncpg.Pool, role: str, schema: str
) -> None:
    rows = await superuser_pool.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = $2::text::regnamespace AND CASE"
        " WHEN relkind = 'S' THEN has_sequence_privilege($1, oid, 'USAGE, SELECT, UPDATE')"
        " WHEN relkind IN ('r', 'p', 'v', 'm') THEN has_table_privilege($1, oid,"
        " 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN') END",
        role,
        schema,
    )
    assert rows == []


@pytest.mark.parametrize("role", SERVICES)
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT balance FROM ledger.account",
        "UPDATE ledger.account SET balance = balance + 1",
        "INSERT INTO ledger.internal_pending VALUES (0, 'FEES', 'USD', 1)",
        "SELECT ledger.move_balance(uuidv7(), uuidv7(), 'USD', 5)",
        "SELECT ledger.post_pair(uuidv7(), 'X', uuidv7(), uuidv7(), 'USD', 5, 'FEES')",
        "SELECT ledger.seed_accounts(ARRAY[uuidv7()], ARRAY[5])",
        "SELECT ledger.post(uuidv7(), 'X', uuidv7(), '{}')",
        "SELECT ledger.post_group('{}')",
        "SELECT ledger.debit(uuidv7(), 'USD', 5), ledger.credit_internal('FEES', 'USD', 5)",
        "SELECT ledger.credit(uuidv7(), 'USD', 5), ledger.debit_internal('FEES', 'USD', 5)",
        "SELECT ledger.debit_to_internal(uuidv7(), 'X', uuidv7(), uuidv7(), 'USD', 5, 'FEES')",
        "SELECT ledger.credit_from_internal(uuidv7(), 'X', uuidv7(), uuidv7(), 'USD', 5, 'FEES')",
        "SELECT ledger.open_account(uuidv7(), 'USD')",
        "SELECT ledger.balance(uuidv7())",
        "SELECT outbox.append('payments', uuidv7(), uuidv7(), 'X', uuidv7(), '')",
        "SELECT outbox.append_group('payments', '{}')",
        "CREATE TABLE ledger.mine (n integer)",
        "CREATE TEMPORARY TABLE mine (n integer)",
        "SET ROLE ledger_owner",
        "ALTER TABLE ledger.entry DISABLE TRIGGER ALL",
    ],
)
async def test_a_service_cannot_go_around_the_functions(
    postgres: PostgresStore, role: str, statement: str
) -> None:
    pool = await postgres.pool(role, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)
    await pool.close()


async def test_the_owners_cannot_log_in_and_own_everything(superuser_pool: asyncpg.Pool) -> None:
    owners = await superuser_pool.fetch(
        "SELECT DISTINCT r.rolname, r.rolcanlogin, r.rolsuper FROM pg_class c"
        " JOIN pg_roles r ON r.oid = c.relowner"
        " WHERE c.relnamespace IN ('ledger'::regnamespace, 'outbox'::regnamespace)"
    )
    assert {tuple(row) for row in owners} == {
        ("ledger_owner", False, False),
        ("outbox_owner", False, False),
    }


async def test_every_definer_function_pins_its_search_path(superuser_pool: asyncpg.Pool) -> None:
    loose = await superuser_pool.fetch(
        "SELECT proname FROM pg_proc WHERE prosecdef"
        " AND pronamespace IN ('ledger'::regnamespace, 'outbox'::regnamespace)"
        " AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']"
    )
    assert loose == []
