"""Databases and login roles of the cluster. Roles own nothing; migrations grant their rights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from ops.provision.roster import (
    AUTH_DATABASE,
    JUDGE,
    MIGRATIONS,
    OPERATOR,
    REVIEWER,
    SERVICES,
    WRITE_DATABASE,
)
from ops.provision.stores import PostgresServer

JUDGE_ROLE = f"bp_{JUDGE}"
OTHER_DATABASES = ("postgres", "template1")
"""PostgreSQL's own databases; only administrators connect to them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one login.

    All limits together are below the server's limit, so a login that uses up its connections leaves
    enough for the others. Each limit is twice the number that the processes of a service use,
    because two versions run during a release. The timeouts are for sessions that set none.
    """

    connections: int
    statement_timeout_s: int = 30
    """Also the longest wait of a statement for a lock."""
    temp_files_mb: int = 256
    """The temporary files of one session, as of a large sort. A login cannot lift this limit."""
    idle_in_transaction_s: int = 30


LIMITS = {
    "bp_payments": Limits(32),
    "bp_transfers": Limits(32),
    "bp_customers": Limits(27),
    "bp_notifications": Limits(12),
    "bp_audit": Limits(12),
    "bp_auth": Limits(18),
    "bp_relay": Limits(8),
    "bp_reviewer": Limits(4),
    "bp_operator": Limits(4),
    # It reads whole tables, and verifies a batch of the log while a cursor waits.
    JUDGE_ROLE: Limits(16, statement_timeout_s=900, idle_in_transaction_s=60, temp_files_mb=4096),
}

SET_PASSWORD = """
DO $$ BEGIN
    EXECUTE format('ALTER ROLE %I PASSWORD %L',
        current_setting('bp.role'), current_setting('bp.password'));
END $$
"""
"""No statement has the password in its text, which the log, pg_stat_activity and
pg_stat_statements show."""

SETTINGS_IN_DATABASES = """
SELECT d.datname FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
WHERE s.setrole = $1::text::regrole
"""

FORGET_PASSWORDS = """
DO $$ BEGIN
    IF current_setting('shared_preload_libraries') ~ 'pg_stat_statements' THEN
        PERFORM public.pg_stat_statements_reset(0, 0, queryid) FROM public.pg_stat_statements
        WHERE queryid <> 0 AND query ~* '\\yROLE\\y.*\\yPASSWORD\\y';
    END IF;
END $$
"""
"""A login that changes its own password, and earlier versions of this module, have it in a text."""

REVOKE_WRITING_FUNCTIONS = """
DO $$ DECLARE
    f regprocedure;
BEGIN
    FOR f IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
            AND (prosrc ~ '^be_lo' OR proname IN ('pg_logical_emit_message', 'pg_export_snapshot'))
            AND has_function_privilege('public', oid, 'EXECUTE')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$
"""
"""PostgreSQL's own functions that write without a right on any table: large objects, the
write-ahead log, files of snapshots."""


def logins() -> dict[str, tuple[str, ...]]:
    """Return each role with the databases it may connect to; the judge may read all of them."""
    services = {s.role: (s.database,) for s in SERVICES if s.database is not None}
    people = {f"bp_{REVIEWER}": (WRITE_DATABASE,), f"bp_{OPERATOR}": (AUTH_DATABASE,)}
    return services | {JUDGE_ROLE: tuple(MIGRATIONS)} | people


async def provision(postgres: PostgresServer, password_of: Callable[[str], str]) -> None:
    """Create missing databases and roles. Each role gets its password and settings.

    A login may change its own password and settings, so an existing role gets them again. Running
    sessions keep theirs.
    """
    connection = await postgres.connect("postgres")
    try:
        await _create_databases(connection)
        for database in MIGRATIONS:
            await _prepare_database(postgres, database)
        await _create_roles(connection, password_of)
    finally:
        await connection.close()


async def _create_databases(connection: asyncpg.Connection) -> None:
    known = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
    for database in MIGRATIONS:
        if database not in known:
            await connection.execute(f"CREATE DATABASE {database} STRATEGY wal_log")


async def _create_roles(connection: asyncpg.Connection, password_of: Callable[[str], str]) -> None:
    known = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
    # A password is the parameter of a statement, and a server may log parameters.
    await connection.execute("SET log_min_duration_statement = -1; SET log_statement = none")
    for role, databases in logins().items():
        # New sessions never see a role without its limits.
        async with connection.transaction():
            if role not in known:
                await connection.execute(f"CREATE ROLE {role} LOGIN")
            await _set_password(connection, role, password_of(role))
            await _reset_settings(connection, role)
            await _limit(connection, role)
        for database in databases:
            await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")
    # They include the passwords' verifiers and the statements of other sessions. The migrations
    # grant the tables that the judge reads.
    await connection.execute(f"REVOKE pg_read_all_data, pg_monitor FROM {JUDGE_ROLE}")
    for database in OTHER_DATABASES:
        await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")


async def _set_password(connection: asyncpg.Connection, role: str, password: str) -> None:
    for name, value in (("bp.role", role), ("bp.password", password)):
        await connection.execute("SELECT set_config($1, $2, true)", name, value)
    await connection.execute(SET_PASSWORD)


async def _reset_settings(connection: asyncpg.Connection, role: str) -> None:
    await connection.execute(f"ALTER ROLE {role} RESET ALL")
    for row in await connection.fetch(SETTINGS_IN_DATABASES, role):
        await connection.execute(f'ALTER ROLE {role} IN DATABASE "{row["datname"]}" RESET ALL')


async def _limit(connection: asyncpg.Connection, role: str) -> None:
    limits = LIMITS[role]
    await connection.execute(
        f"ALTER ROLE {role} CONNECTION LIMIT {limits.connections};"
        f"ALTER ROLE {role} SET statement_timeout = '{limits.statement_timeout_s}s';"
        f"ALTER ROLE {role} SET lock_timeout = '{limits.statement_timeout_s}s';"
        f"ALTER ROLE {role} SET idle_in_transaction_session_timeout"
        f" = '{limits.idle_in_transaction_s}s';"
        f"ALTER ROLE {role} SET temp_file_limit = '{limits.temp_files_mb}MB'"
    )


async def _prepare_database(postgres: PostgresServer, database: str) -> None:
    connection = await postgres.connect(database)
    try:
        await connection.execute(
            f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;"
            "REVOKE ALL ON SCHEMA public FROM PUBLIC;"
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
        )
        await connection.execute(FORGET_PASSWORDS)
        await connection.execute(REVOKE_WRITING_FUNCTIONS)
    finally:
        await connection.close()
