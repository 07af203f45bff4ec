"""Migrations by dbmate: plain SQL of each service, in order where services share a database."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from urllib.parse import quote

from sandbox.stack import launch
from sandbox.stack.home import REPO
from sandbox.stack.parts.postgres import SUPERUSER, Postgres
from sandbox.stack.roster import MIGRATIONS

DBMATE = Path(sys.prefix) / "bin" / "dbmate"


async def migrate(postgres: Postgres, logs: Path) -> None:
    """Bring every database up to date; databases at once, services of one database in order."""
    await asyncio.gather(
        *(migrate_database(postgres, logs, name, order) for name, order in MIGRATIONS.items())
    )


async def migrate_database(
    postgres: Postgres, logs: Path, database: str, services: tuple[str, ...]
) -> None:
    """Bring one database up to date, its services in this order."""
    for service in services:
        folder = REPO / "services" / service / "sql" / "migrations"
        if not folder.exists():
            continue
        options = ("--no-dump-schema", "--migrations-dir", str(folder))
        table = ("--migrations-table", f"schema_migrations_{service}")
        await launch.run(
            (str(DBMATE), *options, *table, "migrate"),
            # In the environment of this short process, not in its argument list.
            env=launch.child_environment({"DATABASE_URL": url(postgres, database)}),
            log=logs / f"migrations-{service}.log",
        )


def url(postgres: Postgres, database: str) -> str:
    """The superuser's URL of one database as dbmate reads it."""
    login = f"{SUPERUSER}:{quote(postgres.password)}"
    if postgres.host.startswith("/"):
        socket = quote(postgres.host)
        return f"postgres://{login}@:{postgres.port}/{database}?socket={socket}&sslmode=disable"
    return f"postgres://{login}@{postgres.host}:{postgres.port}/{database}?sslmode=disable"
