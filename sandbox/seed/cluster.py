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
    host, port = where["BP_POSTGRES_HOST"], int(where["BP_POSTGRES_PORT"])
    try:
        return await asyncpg.connect(
            host=host,
            port=port,
            user=where["BP_POSTGRES_SUPERUSER"],
            password=load_or_make(home.secrets).postgres_superuser,
            database=database,
        )
    except OSError as error:  # which does not name the server
        raise ConnectionError(f"PostgreSQL at {host}:{port}: {error or 'no answer'}") from error
