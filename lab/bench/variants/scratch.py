"""Creates temporary databases in the bank's cluster, so the bench does not change the books."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lab.bench.test_bench import TestBench
from ops.provision.migrations import migrate_database
from sandbox.stack.supervisor.launch import run_program


@asynccontextmanager
async def scratch_database(
    test_bench: TestBench, name: str, *, ledger: bool = True
) -> AsyncGenerator[str]:
    """Create a database, by default with the ledger's schema, and drop it at the end."""
    await _drop(test_bench, name)
    try:
        connection = await test_bench.connect("postgres")
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        if ledger:
            await _add_ledger(test_bench, name)
        yield name
    finally:
        await _drop(test_bench, name)


async def _add_ledger(test_bench: TestBench, name: str) -> None:
    server = test_bench.stack.postgres_server()
    await migrate_database(
        server, test_bench.stack.home.logs, run_program, name, ("chassis", "ledger")
    )


async def _drop(test_bench: TestBench, name: str) -> None:
    connection = await test_bench.connect("postgres")
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close()
