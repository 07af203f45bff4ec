"""Reads functions from PostgreSQL's catalog, and the effect of a function file on them.

A file is run in a transaction that is rolled back. The functions that it wrote are those whose
catalog row has this transaction's id, so no SQL parser is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from services.chassis.postgres import load_queries
from tools.check.schema.compare import Function, FunctionFile

QUERIES = load_queries(Path(__file__).parent / "sql" / "catalog.sql")


async def tried(connection: asyncpg.Connection, schema: str, text: str) -> FunctionFile:
    """Run a function file, read the functions that it wrote, and roll back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(text)
        functions = await functions_of(connection, schema)
    except asyncpg.PostgresError as error:
        return FunctionFile(text, error=str(error))
    finally:
        await transaction.rollback()
    return FunctionFile(text, tuple(function for function, written in functions if written))


async def functions_of(connection: asyncpg.Connection, schema: str) -> list[tuple[Function, bool]]:
    """Return every function of a schema, each with whether this transaction wrote it."""
    rows: list[Any] = await connection.fetch(QUERIES.functions, schema)
    return [
        (
            Function(
                row["name"],
                row["signature"],
                row["definition"],
                row["owner"],
                tuple(row["executors"]),
            ),
            row["written_now"],
        )
        for row in rows
    ]
