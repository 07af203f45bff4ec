"""Databases and login roles of the cluster. Roles own nothing; migrations grant their rights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from ops.provision.roster import JUDGE, MIGRATIONS, REVIEWER, SERVICES, WRITE_DATABASE
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
    idle_in_transaction_s: int = 30


LIMITS = {
    "bp_payments": Limits(32),
    "bp_transfers": Limits(32),
    "bp_customers": Limits(27),
    "bp_notifications": Limits(12),
    "bp_audit": Limits(12),
    "bp_relay": Limits(8),
    "bp_reviewer": Limits(4),
    # It reads whole tables, and verifies a batch of the log while a cursor waits.
    JUDGE_ROLE: Limits(16, statement_timeout_s=900, idle_in_transaction_s=60),
}


def logins() -> dict[str, tuple[str, ...]]:
    """Return each role with the databases it may connect to; the judge may read all of them."""
    services = {s.role: (s.database,) for s in SERVICES if s.database is not None}
    return services | {JUDGE_ROLE: tuple(MIGRATIONS), f"bp_{REVIEWER}": (WRITE_DATABASE,)}


async def provision(postgres: PostgresServer, password_of: Callable[[str], str]) -> None:
    """Create missing databases and roles. An existing role keeps its password."""
    connection = await postgres.connect("postgres")
    try:
        await _create_databases(connection)
        await _create_roles(connection, password_of)
    finally:
        await connection.close()
    for database in MIGRATIONS:
        await _prepare_database(postgres, database)


async def _create_databases(connection: asyncpg.Connection) -> None:
    known = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
    for database in MIGRATIONS:
        if database not in known:
            await connection.execute(f"CREATE DATABASE {database} STRATEGY wal_log")


async def _create_roles(connection: asyncpg.Connection, password_of: Callable[[str], str]) -> None:
    known = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
    # PostgreSQL logs slow statements with their text, and these hold a password.
    await connection.execute("SET log_min_duration_statement = -1")
    for role, databases in logins().items():
        password = password_of(role)
        if role not in known:
            # The role is a constant and the password a hex digest, so neither needs quoting.
            await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        await _limit(connection, role)
        for database in databases:
            await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")
    await connection.execute(f"GRANT pg_read_all_data, pg_monitor TO {JUDGE_ROLE}")
    for database in OTHER_DATABASES:
        await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")


async def _limit(connection: asyncpg.Connection, role: str) -> None:
    limits = LIMITS[role]
    await connection.execute(
        f"ALTER ROLE {role} CONNECTION LIMIT {limits.connections};"
        f"ALTER ROLE {role} SET statement_timeout = '{limits.statement_timeout_s}s';"
        f"ALTER ROLE {role} SET lock_timeout = '{limits.statement_timeout_s}s';"
        f"ALTER ROLE {role} SET idle_in_transaction_session_timeout"
        f" = '{limits.idle_in_transaction_s}s'"
    )


async def _prepare_database(postgres: PostgresServer, database: str) -> None:
    connection = await postgres.connect(database)
    try:
        await connection.execute(
            f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;"
            "REVOKE ALL ON SCHEMA public FROM PUBLIC;"
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
        )
    finally:
        await connection.close()
