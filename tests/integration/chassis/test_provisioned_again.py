"""Provisioning repairs the password and the settings that a login changed for itself."""

import asyncpg
import pytest

from ops.provision import databases
from ops.provision.roster import WRITE_DATABASE
from tests.rigs.stores import PASSWORD, PostgresStore

LOGIN = "bp_reviewer"
CHANGES = f"""
ALTER ROLE CURRENT_USER PASSWORD 'taken';
ALTER ROLE CURRENT_USER SET default_transaction_read_only = on;
ALTER ROLE CURRENT_USER SET statement_timeout = 0;
ALTER ROLE CURRENT_USER IN DATABASE {WRITE_DATABASE} SET search_path = nowhere;
"""


async def _connected(postgres: PostgresStore, password: str) -> asyncpg.Connection:
    login = postgres.database(LOGIN)
    return await asyncpg.connect(
        host=login.host,
        port=login.port,
        user=login.username,
        password=password,
        database=login.database,
    )


async def test_a_login_gets_its_password_and_settings_back(postgres: PostgresStore) -> None:
    before = await _connected(postgres, PASSWORD)
    try:
        await before.execute(CHANGES)
        await databases.provision(postgres.part.server, lambda _role: PASSWORD)
        assert await before.fetchval("SELECT 1") == 1, "a running session continues"
    finally:
        await before.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _connected(postgres, "taken")
    after = await _connected(postgres, PASSWORD)
    try:
        names = ("default_transaction_read_only", "statement_timeout", "search_path")
        found = [await after.fetchval("SELECT current_setting($1)", name) for name in names]
    finally:
        await after.close()
    limit = databases.LIMITS[LOGIN].statement_timeout_s
    assert found == ["off", f"{limit}s", '"$user", public']


async def test_no_statement_of_provisioning_shows_a_password(postgres: PostgresStore) -> None:
    """PostgreSQL keeps the text of statements, in pg_stat_statements and in its log."""
    session = await postgres.session("postgres")
    try:
        await session.execute(f"ALTER ROLE {LOGIN} PASSWORD '{PASSWORD}'")
        await databases.provision(postgres.part.server, lambda _role: PASSWORD)
        shown = await session.fetch(
            "SELECT left(query, 60) FROM pg_stat_statements WHERE query LIKE '%' || $1 || '%'",
            PASSWORD,
        )
    finally:
        await session.close()
    assert shown == []
