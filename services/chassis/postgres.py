"""PostgreSQL for a service: a connection pool, and named SQL statements from files.

The pool is small. Measurements show that waiting for a connection costs less than many connections
waiting for a hot row. Each connection prepares a statement once. A broken connection is replaced at
its next use, so a restart of the server fails only the calls in flight.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

STATEMENT_TIMEOUT_MS = 5_000
"""How long the server runs one statement before cancelling it."""

CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 10.0
"""How long a call waits for its answer, also when the network is down."""

ACQUIRE_TIMEOUT_S = 10.0
"""How long a call waits for a connection of the pool, also if its caller has left."""

QUERIES_MAX = 50_000
"""A connection is replaced after so many statements (asyncpg's own default)."""

_NAME = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Database:
    """A database's address and login, as OpenBao keeps them."""

    host: str
    port: int
    database: str
    username: str
    password: str

    @classmethod
    def from_secret(cls, secret: Mapping[str, Any]) -> "Database":
        """Return the address that `secret/database/postgres/<service>` holds."""
        return cls(
            host=str(secret["host"]),
            port=int(secret["port"]),
            database=str(secret["database"]),
            username=str(secret["username"]),
            password=str(secret["password"]),
        )

    def __repr__(self) -> str:
        return f"Database({self.username}@{self.host}:{self.port}/{self.database})"


class Queries:
    """Named statements; each is an attribute: `queries.find_transfer`."""

    def __init__(self, statements: Mapping[str, str]) -> None:
        self._statements = dict(statements)

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"no query is named {name}") from None

    def names(self) -> tuple[str, ...]:
        """Return the names, in the order of the file."""
        return tuple(self._statements)


class _Connection(asyncpg.Connection):
    """A connection that is not reset when it returns to the pool: services set no session state."""

    def get_reset_query(self) -> str:
        """Return no statement, which saves a round trip for each use of the pool."""
        return ""


class _Pool(asyncpg.Pool):
    """A pool whose calls wait for a connection for a limited time; then they raise TimeoutError."""

    acquire_timeout_s = ACQUIRE_TIMEOUT_S

    def acquire(self, *, timeout: float | None = None) -> Any:
        """Return a connection; the pool's other methods call this one."""
        return super().acquire(timeout=self.acquire_timeout_s if timeout is None else timeout)


def load_queries(path: Path) -> Queries:
    """Read a file of statements; each starts with `-- name: x` and a comment that explains it.

    Raises ValueError for a duplicate name, a missing comment or a missing statement.
    """
    text = path.read_text(encoding="utf-8")
    found = list(_NAME.finditer(text))
    statements: dict[str, str] = {}
    for this, following in zip(found, [*found[1:], None], strict=True):
        name = this["name"]
        body = text[this.end() : following.start() if following else len(text)].strip()
        sentence, _, _ = body.partition("\n")
        sql = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
        if name in statements or not sentence.startswith("-- ") or not sql:
            raise ValueError(
                f"{path.name}: query {name} is a duplicate, or lacks its comment or SQL"
            )
        statements[name] = sql.rstrip(";")
    return Queries(statements)


def _session(application_name: str, statement_timeout_ms: int) -> dict[str, str]:
    return {
        "application_name": application_name,
        "statement_timeout": str(statement_timeout_ms),
        "lock_timeout": str(statement_timeout_ms),
        "idle_in_transaction_session_timeout": "15000",
        # Statements are short: compiling one costs more than it saves.
        "jit": "off",
        # On a table with partitions, PostgreSQL would plan each call, which costs more than the
        # statement itself. Statements read by key, so their plans do not depend on values.
        "plan_cache_mode": "force_generic_plan",
    }


async def connect(
    database: Database, application_name: str, statement_timeout_ms: int = STATEMENT_TIMEOUT_MS
) -> asyncpg.Connection:
    """Open a single connection, for work that must keep the same one: LISTEN, leadership."""
    return await asyncpg.connect(
        host=database.host,
        port=database.port,
        database=database.database,
        user=database.username,
        password=database.password,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings=_session(application_name, statement_timeout_ms),
    )


async def open_pool(
    database: Database,
    application_name: str,
    size: int,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> asyncpg.Pool:
    """Open a pool of exactly `size` connections; `application_name` shows in pg_stat_activity."""
    pool = _Pool(
        host=database.host,
        port=database.port,
        database=database.database,
        user=database.username,
        password=database.password,
        min_size=size,
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        max_queries=QUERIES_MAX,
        max_inactive_connection_lifetime=0,
        loop=None,
        connection_class=_Connection,
        record_class=asyncpg.Record,
        server_settings=_session(application_name, statement_timeout_ms),
    )
    pool.acquire_timeout_s = ACQUIRE_TIMEOUT_S
    return await pool
