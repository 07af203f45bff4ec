"""Service roles execute the ledger's functions and cannot even read its tables."""

import asyncpg
import pytest

from tests.rigs.stores import PostgresStore

SERVICES = ("bp_payments", "bp_transfers", "bp_relay")
POSTERS = {
    *("balance", "credit", "credit_from_internal", "credit_internal", "debit"),
    *("debit_internal", "debit_to_internal", "ensure_partitions"),
    *(
        "held_accounts",
        "internal_balance",
        "new_id",
        "open_account",
        "post",
        "post_group",
        "shard_of",
        "statement",
    ),
}
UPKEEP = {"ensure_partitions", "new_id", "roll_up", "shard_of"}
MAY_EXECUTE = {
    "bp_payments": POSTERS,
    "bp_transfers": POSTERS | {"position_before"},
    "bp_relay": UPKEEP,
    "bp_judge": {
        *("balance", "check", "internal_balance", "new_id", "shard_of", "statement"),
    },
    "bp_customers": set[str](),
    "bp_notifications": set[str](),
    "bp_audit": set[str](),
}


@pytest.mark.parametrize("role", MAY_EXECUTE)
async def test_a_role_executes_only_the_functions_meant_for_it(
    superuser_pool: asyncpg.Pool, role: str
) -> None:
    rows = await superuser_pool.fetch(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'ledger'::regnamespace"
        " AND has_function_privilege($1, oid, 'EXECUTE')"
        " AND has_schema_privilege($1, 'ledger', 'USAGE')",
        role,
    )
    assert {row["proname"] for row in rows} == MAY_EXECUTE[role]


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
        "CREATE TABLE ledger.mine (n integer)",
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
