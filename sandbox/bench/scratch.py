"""Databases that a part of the bench has to itself: made, given the ledger, dropped again."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sandbox.bench.stand import Stand
from sandbox.stack.parts.postgres import Postgres
from sandbox.stack.provision.migrations import migrate_database


@asynccontextmanager
async def scratch_database(stand: Stand, name: str, *, ledger: bool = True) -> AsyncGenerator[str]:
    """Make an empty database, with the ledger's functions or without; drop it at the end."""
    await _drop(stand, name)
    try:
        connection = await stand.connect("postgres")
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        if ledger:
            await _add_ledger(stand, name)
        yield name
    finally:
        await _drop(stand, name)


async def _add_ledger(stand: Stand, name: str) -> None:
    where, seed = stand.where, stand.stack.seed
    cluster = Postgres(stand.stack.home, int(where["BP_POSTGRES_PORT"]), seed.postgres_superuser)
    await migrate_database(cluster, stand.stack.home.logs, name, ("ledger",))


async def _drop(stand: Stand, name: str) -> None:
    connection = await stand.connect("postgres")
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close()
