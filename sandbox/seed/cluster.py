"""Connects as superuser to the PostgreSQL cluster in the state directory that BP_HOME names, and as
auth to its OpenBao."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from ops import own_folders
from ops.provision.credentials import load_or_make
from sandbox.stack.home import home_from_environment
from services.chassis.settings import ServiceSettings
from services.chassis.vault import Vault, open_vault


async def open_auth_vault() -> Vault:
    """Log in to OpenBao as the auth service, whose data the seed writes."""
    home = home_from_environment()
    where: dict[str, str] = json.loads(home.endpoints.read_text())
    return await auth_vault(where, home.run)


def bcrypt_cost() -> int:
    """Return the cost of a password's hash in the bank of this state directory."""
    where: dict[str, str] = json.loads(home_from_environment().endpoints.read_text())
    return int(where["BP_BCRYPT_COST"])


async def auth_vault(where: Mapping[str, str], run: Path) -> Vault:
    """Log in to OpenBao as the auth service; `where` has the addresses of a running stack."""
    return await open_vault(
        ServiceSettings(
            service="auth",
            home=Path(where["BP_HOME"]),
            socket_in=Path("unused"),
            openbao_addr=where["BP_OPENBAO_PRIVATE_ADDR"],
            service_account_token_file=run / "auth" / "token",
        )
    )


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
