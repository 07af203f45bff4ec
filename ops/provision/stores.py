"""The stores that provisioning sets up: their addresses and administrator logins.

The stack on one machine and the jobs of a cluster build these values from their own configuration
and run the same code with them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg

SUPERUSER = "postgres"

RunProgram = Callable[[Sequence[str], Mapping[str, str], Path], Awaitable[None]]
"""Runs a program and waits for it: command, environment, log file. RuntimeError if it fails."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One PostgreSQL cluster."""

    host: str
    """A host name, or the folder of its Unix socket."""
    port: int
    password: str
    """The superuser's password."""
    data_location: str
    """The data to remove for a fresh start: a folder, or the databases at an address."""

    async def connect(self, database: str) -> asyncpg.Connection:
        """Connect to a database as the superuser."""
        return await asyncpg.connect(
            host=self.host,
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            database=database,
        )

    def url(self, database: str) -> str:
        """Return the superuser's URL of a database in dbmate's format."""
        login = f"{SUPERUSER}:{quote(self.password)}"
        if self.host.startswith("/"):
            socket = quote(self.host)
            return f"postgres://{login}@:{self.port}/{database}?socket={socket}&sslmode=disable"
        return f"postgres://{login}@{self.host}:{self.port}/{database}?sslmode=disable"
