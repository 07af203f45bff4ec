"""Connects as superuser to the PostgreSQL cluster in the state directory that BP_HOME names."""

from __future__ import annotations

import json

import asyncpg

from ops.provision.credentials import load_or_make
from sandbox.stack.home import home_from_environment


async def connect(database: str) -> asyncpg.Connection:
    """Open a connection to a database; FileNotFoundError when no stack was ever started."""
    home = home_from_environment()
    where: dict[str, str] = json.loads(home.endpoints.read_text())
    return await asyncpg.connect(
        host=where["BP_POSTGRES_HOST"],
        port=int(where["BP_POSTGRES_PORT"]),
        user=where["BP_POSTGRES_SUPERUSER"],
        password=load_or_make(home.secrets).postgres_superuser,
        database=database,
    )
