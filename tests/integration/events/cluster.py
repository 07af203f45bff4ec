"""A real PostgreSQL cluster for the tests of events, with the roles and migrations of the bank."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

ROLES = ("bp_audit", "bp_notifications", "bp_judge")
DATABASES = {"bp_audit": "audit", "bp_notifications": "notifications"}


@dataclass
class Cluster:
    """Where the cluster listens; every local role may log in without a password."""

    sockets: Path
    repo: Path

    async def connect(self, database: str, role: str) -> asyncpg.Connection:
        return await asyncpg.connect(host=str(self.sockets), user=role, database=database)

    async def prepare(self) -> None:
        """Roles, databases, migrations."""
        owner = await self.connect("postgres", "postgres")
        for role in ROLES:
            await owner.execute(f"CREATE ROLE {role} LOGIN")
        for database in DATABASES:
            await owner.execute(f"CREATE DATABASE {database}")
        await owner.close()
        for database, service in DATABASES.items():
            self._migrate(database, service)

    def _migrate(self, database: str, service: str) -> None:
        socket = quote(f"{self.sockets}/.s.PGSQL.5432")
        subprocess.run(
            [
                str(Path(sys.prefix) / "bin" / "dbmate"),
                "--no-dump-schema",
                *("--migrations-dir", str(self.repo / "services" / service / "sql/migrations")),
                *("--migrations-table", f"schema_migrations_{service}"),
                "migrate",
            ],
            env=os.environ
            | {"DATABASE_URL": f"postgres://postgres@/{database}?socket={socket}&sslmode=disable"},
            check=True,
            capture_output=True,
        )
