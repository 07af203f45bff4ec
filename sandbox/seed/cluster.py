"""Connects as superuser to the PostgreSQL cluster in the state directory that BP_HOME names."""

from __future__ import annotations

import json

import asyncpg

from ops import own_folders
from ops.provision.credentials import load_or_make
from sandbox.stack.home import home_from_environment


async def connect(database: str) -> asyncpg.Connection:
    """Open a connection to a database; ConnectionError when no bank runs."""
    home = home_from_environment()
    # Another user's server in a folder of this name could ask for the password.
    if not own_folders.is_run_folder(home.run, home.root):
        raise ConnectionError("The bank is not running. Start it with `make up`.")
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
