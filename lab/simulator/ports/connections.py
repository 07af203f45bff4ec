"""Connections to the simulated database: latency, lost requests, lost acknowledgements, crashes.

`Pool` replaces asyncpg's pool, so production's stores run on it unchanged.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import asyncpg

from lab.simulator.context import Context
from lab.simulator.processes import ENTITY, Process
from lab.simulator.randomness import Point
from lab.simulator.stores.schema import Schema

_LATENCY, _WAIT, _KIND, _FATE = 1, 2, 3, 4

SLOW_ANSWER_S = 0.003
"""A statement that takes longer than this to arrive gets an answer that is just as slow."""

FAULTS = (
    Point.DB_LOST_BEFORE,
    Point.DB_LOST_AFTER,
    Point.DB_CRASH_BEFORE,
    Point.DB_CRASH_AFTER,
    Point.DB_SLOW,
)

BEFORE: tuple[Callable[[str], Exception], ...] = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.QueryCanceledError,
    ConnectionResetError,
)
"""Errors of a statement that was not executed."""

AFTER: tuple[Callable[[str], Exception], ...] = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
    ConnectionResetError,
    TimeoutError,
)
"""Errors of a statement that was executed, but whose acknowledgement was lost."""


class Pool:
    """A process's connections to one schema."""

    def __init__(self, context: Context, schema: Schema, process: Process) -> None:
        self._context = context
        self._loop = context.loop
        self._randomness = context.randomness
        self._database = schema.database
        self._handlers = schema.handlers
        self._process = process

    def fetch(self, statement: str, *args: Any) -> Coroutine[Any, Any, Sequence[Any]]:
        """Execute a statement and return its rows."""
        return self._carry_out(statement, args)

    async def fetchrow(self, statement: str, *args: Any) -> Any:
        """Return the first row, or None."""
        rows = await self._carry_out(statement, args)
        return rows[0] if rows else None

    async def fetchval(self, statement: str, *args: Any) -> Any:
        """Return the first column of the first row, or None."""
        rows = await self._carry_out(statement, args)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, statement: str, *args: Any) -> str:
        """Execute a statement."""
        await self._carry_out(statement, args)
        return ""

    async def _carry_out(self, statement: str, args: Sequence[Any]) -> Sequence[Any]:
        process, entity, database = self._process, ENTITY.get(), self._database
        randomness, handler = self._randomness, self._handlers[statement]
        if not process.runs():
            await process.gate()
        fault = randomness.which(FAULTS, entity)
        delay_s = randomness.between(0.0005, 0.004, _LATENCY, entity)
        if fault is Point.DB_SLOW:
            delay_s = randomness.between(0.5, 20, _WAIT, entity)
        await self._loop.pause(delay_s)
        if fault is Point.DB_LOST_BEFORE:
            raise BEFORE[randomness.pick(len(BEFORE), _KIND, entity)]("lost before it happened")
        if not process.alive and randomness.pick(2, _FATE, entity):
            # The process died while the request was on its way, and the request did not arrive.
            await process.gone()
        if fault is Point.DB_CRASH_BEFORE:
            database.transact(handler, args, commit=False)
            await self._context.crash(process, f"before {handler.__name__} is committed")
        rows = database.transact(handler, args)
        if fault is Point.DB_CRASH_AFTER:
            await self._context.crash(process, f"after {handler.__name__} is committed")
        if fault is Point.DB_LOST_AFTER:
            self._context.note("the acknowledgement of %s is lost", handler.__name__)
            raise AFTER[randomness.pick(len(AFTER), _KIND, entity)]("happened, unacknowledged")
        if delay_s > SLOW_ANSWER_S:
            # The acknowledgement is slow too: much can happen between commit and answer.
            await self._loop.pause(delay_s)
        if not process.runs():
            await process.gate()
        return rows
