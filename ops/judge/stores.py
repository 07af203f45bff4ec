"""Connects the judge to the stores of a running bank: addresses and read-only connections."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ops.waiting import scaled_s
from services.chassis.postgres import Queries, load_queries
from services.chassis.valkey import valkey_client

HTTP_TIMEOUT_S = 20.0
HTTP_NOT_FOUND = 404
VALKEY_TIMEOUT_S = 20.0
SORT_MEMORY = "64MB"
PAGE_ROWS = 2000
MESH_HISTORY = Path("mesh", "history")
"""Below BP_HOME."""

WRITE_DATABASE = "bp_write"
CUSTOMERS_DATABASE = "bp_customers"
NOTIFICATIONS_DATABASE = "bp_notifications"
AUDIT_DATABASE = "bp_audit"
AUTH_DATABASE = "bp_auth"

UNREADABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError, ValueError)
"""The errors of a store that is unreachable, not created yet or closed to the judge."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The addresses of all stores."""

    connect: Callable[[str], Awaitable["asyncpg.Connection"]]
    """Database name -> a connection of the role bp_judge."""
    kafka_bootstrap: str
    ach_control: Path
    """The Unix socket of the clearing house's control API. Calls to its public API would use up
    injected faults."""
    fcm_control: Path
    """The Unix socket of the push service's control API."""
    valkey: Callable[[], Redis]
    """Returns a client of Valkey as the judge's user, which the caller closes."""
    mesh_history: Path | None = None
    """The revisions of the mesh's configuration; None where no control plane runs."""

    @classmethod
    def of(
        cls,
        addresses: Mapping[str, str],
        connect: Callable[[str], Awaitable["asyncpg.Connection"]],
        valkey_login: Mapping[str, str],
    ) -> "Stores":
        """Return the stores of a running stack, from its addresses (BP_KAFKA_BOOTSTRAP, …).

        `valkey_login` has the fields of the secret `valkey/judge`: username, password.
        """
        socket, timeout_s = Path(addresses["BP_VALKEY_SOCKET"]), scaled_s(VALKEY_TIMEOUT_S)
        return cls(
            connect=connect,
            kafka_bootstrap=addresses["BP_KAFKA_BOOTSTRAP"],
            ach_control=Path(addresses["BP_PARTNER_ACH_CONTROL_SOCKET"]),
            fcm_control=Path(addresses["BP_PARTNER_FCM_CONTROL_SOCKET"]),
            valkey=lambda: valkey_client(socket, valkey_login, timeout_s),
            mesh_history=Path(addresses["BP_HOME"]) / MESH_HISTORY,
        )

    async def value(self, database: str, statement: str) -> int:
        """Return the one number that a statement selects; 0 for NULL."""
        connection = await self.connect(database)
        try:
            return int(await connection.fetchval(statement) or 0)
        finally:
            await connection.close()

    @asynccontextmanager
    async def snapshot(self, database: str) -> AsyncGenerator["asyncpg.Connection"]:
        """Open a connection in one read-only snapshot, with room to sort a whole table."""
        connection = await self.connect(database)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(f"SET LOCAL work_mem = '{SORT_MEMORY}'")
                await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                yield connection
        finally:
            await connection.close()


async def pages(connection: asyncpg.Connection, statement: str) -> AsyncIterator[list[Any]]:
    """Yield all rows of a statement, page by page; the connection must be in a transaction."""
    cursor = await connection.cursor(statement)
    while page := await cursor.fetch(PAGE_ROWS):
        yield page


def queries(name: str) -> Queries:
    """Return the judge's statements of one file in sql/."""
    return load_queries(Path(__file__).parent / "sql" / f"{name}.sql")


@asynccontextmanager
async def partner_api(socket: Path) -> AsyncGenerator[Callable[[str], Awaitable[Any]]]:
    """Yield a function from a path of the control API at `socket` to JSON.

    It raises FileNotFoundError for a 404, and OSError for any other failure.
    """
    timeout = aiohttp.ClientTimeout(total=scaled_s(HTTP_TIMEOUT_S))
    async with aiohttp.ClientSession(
        "http://partner",
        connector=aiohttp.UnixConnector(str(socket)),
        timeout=timeout,
        raise_for_status=True,
    ) as session:

        async def get(path: str) -> Any:
            try:
                async with session.get(path) as answer:
                    return orjson.loads(await answer.read())
            except aiohttp.ClientResponseError as error:
                kind = FileNotFoundError if error.status == HTTP_NOT_FOUND else OSError
                raise kind(f"{socket} {path}: {error.status}") from error
            except (aiohttp.ClientError, TimeoutError) as error:
                raise OSError(f"{socket} {path}: {error!r}") from error

        yield get
