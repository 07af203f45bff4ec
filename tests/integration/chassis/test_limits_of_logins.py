"""A login that uses up its connections takes none from other logins, and has its own timeouts."""

import asyncio

import asyncpg
import pytest

from ops.provision import databases
from tests.rigs.stores import PASSWORD, PostgresStore


async def test_the_connections_of_all_logins_fit_into_the_server(postgres: PostgresStore) -> None:
    connection = await postgres.session("postgres")
    try:
        limits = await connection.fetch(
            "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolcanlogin AND NOT rolsuper"
        )
        places: int | None = await connection.fetchval(
            "SELECT current_setting('max_connections')::integer"
            " - current_setting('superuser_reserved_connections')::integer"
            " - current_setting('reserved_connections')::integer"
        )
    finally:
        await connection.close()
    assert places is not None
    by_login = {row["rolname"]: row["rolconnlimit"] for row in limits}
    assert by_login.keys() == databases.logins().keys()
    assert all(limit > 0 for limit in by_login.values())
    assert sum(by_login.values()) <= places


async def test_a_login_that_takes_all_its_connections_leaves_the_others_theirs(
    postgres: PostgresStore,
) -> None:
    login = postgres.database("bp_reviewer")

    async def client() -> asyncpg.Connection:
        return await asyncpg.connect(
            host=login.host,
            port=login.port,
            user=login.username,
            password=PASSWORD,
            database=login.database,
        )

    limit = databases.LIMITS["bp_reviewer"].connections
    found = await asyncio.gather(*(client() for _ in range(limit + 3)), return_exceptions=True)
    held = [one for one in found if isinstance(one, asyncpg.Connection)]
    refused = [one for one in found if isinstance(one, asyncpg.TooManyConnectionsError)]
    try:
        assert (len(held), len(refused)) == (limit, 3)
        other = await postgres.session("bp_relay")
        await other.close()
    finally:
        for one in held:
            await one.close()


@pytest.mark.parametrize("login", databases.logins())
async def test_a_session_without_settings_has_the_timeouts_of_its_login(
    postgres: PostgresStore, login: str
) -> None:
    address = postgres.database(login, databases.logins()[login][0])
    connection = await asyncpg.connect(
        host=address.host,
        port=address.port,
        user=login,
        password=PASSWORD,
        database=address.database,
    )
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    try:
        temp_kb = await connection.fetchval(
            "SELECT setting::integer FROM pg_settings WHERE name = 'temp_file_limit'"
        )
        found = [
            await connection.fetchval(
                "SELECT setting::integer / 1000 FROM pg_settings WHERE name = $1", name
            )
            for name in names
        ]
    finally:
        await connection.close()
    limits = databases.LIMITS[login]
    statement_s = limits.statement_timeout_s
    assert found == [statement_s, statement_s, limits.idle_in_transaction_s]
    assert temp_kb == limits.temp_files_mb * 1024
