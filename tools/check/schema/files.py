"""The current SQL as files: a function file for each function, a schema.sql for each service.

The migrations run in an empty throw-away PostgreSQL, in the order in which a database of the bank
runs them. `make check` compares the result with the files; `make gen` writes schema.sql and a file
for each function that has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from ops.provision.databases import provision
from ops.provision.migrations import migrate_database
from ops.provision.roster import MIGRATIONS
from ops.provision.stores import SUPERUSER, PostgresServer
from tools.check.schema import cluster
from tools.check.schema.catalog import QUERIES, functions_of, tried
from tools.check.schema.compare import (
    Function,
    FunctionFile,
    function_findings,
    schema_finding,
)
from tools.check.schema.dump import readable
from tools.check.tools import REPO, CheckFailed

ONE_MONTH = "*_[0-9][0-9][0-9][0-9]_[0-9][0-9]"
"""Names of the partitions that hold one month, for pg_dump."""


@dataclass(frozen=True, slots=True)
class Today:
    """The schema that one service's migrations made, and the effect of its function files."""

    service: str
    schema: str
    functions: Mapping[str, Function]
    """By signature."""
    files: Mapping[str, FunctionFile]
    """By name without suffix."""
    schema_sql: str

    @property
    def folder(self) -> Path:
        """The folder of the service's SQL, below the repository's root."""
        return Path("services", self.service, "sql")


def refuse_different() -> None:
    """Raise CheckFailed with each file that differs from the migrated schema."""
    if findings := [finding for today in _read() for finding in _findings(today)]:
        raise CheckFailed("\n".join(findings))


def write() -> None:
    """Write each schema.sql, and a file for each function that has none."""
    for today in _read():
        (REPO / today.folder / "schema.sql").write_text(today.schema_sql)
        folder = REPO / today.folder / "functions"
        for function in today.functions.values():
            file = folder / f"{function.name}.sql"
            if function.name not in today.files:
                folder.mkdir(exist_ok=True)
                with file.open("a") as text:
                    text.write(f"{function.definition.rstrip()};\n")


def _findings(today: Today) -> list[str]:
    folder, committed = REPO / today.folder, REPO / today.folder / "schema.sql"
    text = committed.read_text() if committed.exists() else None
    return [
        *function_findings(f"{today.folder}/functions", today.functions, today.files),
        *schema_finding(str(committed.relative_to(REPO)), text, today.schema_sql),
        *(
            f"{stray.relative_to(REPO)}: not a function file. Remove it."
            for stray in sorted((folder / "functions").glob("*"))
            if stray.suffix != ".sql"
        ),
    ]


def _read() -> list[Today]:
    with cluster.throw_away() as server:
        return asyncio.run(_read_all(server))


async def _read_all(server: PostgresServer) -> list[Today]:
    await provision(server, lambda role: role)
    databases = (_read_database(server, name, order) for name, order in MIGRATIONS.items())
    return [today for database in await asyncio.gather(*databases) for today in database]


async def _read_database(
    server: PostgresServer, database: str, services: Sequence[str]
) -> list[Today]:
    connection = await server.connect(database)
    try:
        schemas = [
            (service, await _migrated(connection, server, database, service))
            for service in services
        ]
        return [
            await _today(connection, server, database, service, schema)
            for service, schema in schemas
        ]
    finally:
        await connection.close()


async def _migrated(
    connection: asyncpg.Connection, server: PostgresServer, database: str, service: str
) -> str:
    """Run a service's migrations; return the name of the one schema that they made."""
    before = {row[0] for row in await connection.fetch(QUERIES.schemas)}
    await migrate_database(server, Path(server.host), _program, database, (service,))
    made = {row[0] for row in await connection.fetch(QUERIES.schemas)} - before
    if len(made) != 1:
        raise CheckFailed(f"the migrations of {service} make {len(made)} schemas, not one")
    return made.pop()


async def _program(command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
    await asyncio.to_thread(cluster.run, *command, env=env)


async def _today(
    connection: asyncpg.Connection,
    server: PostgresServer,
    database: str,
    service: str,
    schema: str,
) -> Today:
    functions = await functions_of(connection, schema)
    files = {
        path.stem: await tried(connection, schema, path.read_text())
        for path in sorted((REPO / "services" / service / "sql" / "functions").glob("*.sql"))
    }
    where = ("-h", server.host, "-p", str(server.port), "-U", SUPERUSER, "-d", database)
    what = ("--schema-only", "-n", schema, "-T", f"{schema}.{ONE_MONTH}")
    dump = await asyncio.to_thread(cluster.run, cluster.program("pg_dump"), *where, *what)
    databases = [name for name, services in MIGRATIONS.items() if service in services]
    named = f"database{'s' if len(databases) > 1 else ''} {', '.join(databases)}"
    text = readable(named, service, schema, dump, [function for function, _ in functions])
    return Today(service, schema, {f.signature: f for f, _ in functions}, files, text)
