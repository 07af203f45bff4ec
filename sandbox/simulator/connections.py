"""Connections to the simulated database: latency, lost requests, lost acknowledgements, crashes.

Stands where asyncpg's pool and connection stand, so production's stores run unchanged above it.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg

from sandbox.simulator.chance import Point
from sandbox.simulator.database import Handler
from sandbox.simulator.processes import ENTITY, Process

if TYPE_CHECKING:
    from sandbox.simulator.world import World

_LATENCY, _WAIT, _KIND, _FATE = 1, 2, 3, 4

SLOW_ANSWER_S = 0.003
"""A statement that took longer than this to arrive is answered as late."""

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
"""How a statement fails that did not happen."""

AFTER: tuple[Callable[[str], Exception], ...] = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.InterfaceError,
    ConnectionResetError,
    TimeoutError,
)
"""How a statement fails that happened, its acknowledgement lost."""


class Pool:
    """A process's connections to one schema."""

    def __init__(self, world: "World", process: Process, handlers: Mapping[str, Handler]) -> None:
        self._world = world
        self._process = process
        self._handlers = handlers

    def fetch(self, statement: str, *args: Any) -> Coroutine[Any, Any, Sequence[Any]]:
        """Carry out a statement and return its rows."""
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
        """Carry out a statement."""
        await self._carry_out(statement, args)
        return ""

    async def _carry_out(self, statement: str, args: Sequence[Any]) -> Sequence[Any]:
        world, process, entity = self._world, self._process, ENTITY.get()
        chance, handler = world.chance, self._handlers[statement]
        if not process.runs():
            await process.gate()
        fault = chance.which(FAULTS, entity)
        delay_s = chance.between(0.0005, 0.004, _LATENCY, entity)
        if fault is Point.DB_SLOW:
            delay_s = chance.between(0.5, 20, _WAIT, entity)
        await world.loop.pause(delay_s)
        if fault is Point.DB_LOST_BEFORE:
            raise BEFORE[chance.pick(len(BEFORE), _KIND, entity)]("lost before it happened")
        if not process.alive and chance.pick(2, _FATE, entity):
            # It died while the request was on its way, which did not arrive.
            await process.gone()
        if fault is Point.DB_CRASH_BEFORE:
            world.database.transact(handler, args, commit=False)
            await world.crash(process, f"before {handler.__name__} is committed")
        rows = world.database.transact(handler, args)
        if fault is Point.DB_CRASH_AFTER:
            await world.crash(process, f"after {handler.__name__} is committed")
        if fault is Point.DB_LOST_AFTER:
            world.note("the acknowledgement of %s is lost", handler.__name__)
            raise AFTER[chance.pick(len(AFTER), _KIND, entity)]("happened, unacknowledged")
        if delay_s > SLOW_ANSWER_S:
            # The acknowledgement takes its time: between commit and answer much can happen.
            await world.loop.pause(delay_s)
        if not process.runs():
            await process.gate()
        return rows


class Connection(Pool):
    """A single connection: it listens, and holds the relay's lead while it lives."""

    def __init__(self, world: "World", process: Process, handlers: Mapping[str, Handler]) -> None:
        super().__init__(world, process, handlers)
        self.process = process
        self.hears: Callable[..., None] | None = None

    async def fetchval(self, statement: str, *args: Any) -> Any:
        """As the pool, but the lead is this connection's."""
        found = await super().fetchval(statement, *args)
        if self._handlers[statement].__name__ == "try_lead":
            return self._world.lead.take(self)
        return found

    async def add_listener(self, _channel: str, callback: Callable[..., None]) -> None:
        """Let notices call back."""
        self.hears = callback

    def terminate(self) -> None:
        """Close it; the lead is free."""
        self._world.lead.leave(self)
