"""Decides which relay is the leader, and when it sees a committed event of the outbox.

In PostgreSQL the leader is the session that `outbox.leader` names. The relay polls; here an event
ends its pause, so that an idle day does not cost a million polls.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from lab.simulator.context import Context
from lab.simulator.ports.connections import Pool
from lab.simulator.processes import Process
from lab.simulator.randomness import Point
from lab.simulator.stores.database import Row
from lab.simulator.stores.schema import Schema

_SEEN = 97


class RelayLeader:
    """The role of active relay, and the events that end a pause of the active relay."""

    def __init__(self, context: Context, committed: Callable[[Row], None]) -> None:
        """`committed` is called with each event before any relay can see it."""
        self._context = context
        self._committed = committed
        self._holder: RelayConnection | None = None
        self.unseen: set[int] = set()
        """Committed rows of the outbox that no snapshot contains yet."""

    def committed(self, row: Row) -> None:
        """Handle an event whose transaction has committed."""
        self._committed(row)
        randomness = self._context.randomness
        if randomness.injects(Point.COMMIT_SEEN_LATE, 0):
            self.unseen.add(row["id"])
            delay_s = randomness.between(0.001, 0.5, _SEEN, 0)
            self._context.loop.call_later(delay_s, self._seen, row["id"])
        else:
            self._end_pause()

    def _seen(self, number: int) -> None:
        self.unseen.discard(number)
        self._end_pause()

    def _end_pause(self) -> None:
        if self._holder is not None:
            self._holder.noticed.set()

    def take(self, connection: "RelayConnection") -> bool:
        """Give a connection the role if it is free. Return whether the connection has it."""
        if self._holder is None:
            self._holder = connection
        return self._holder is connection

    def leave(self, connection: "RelayConnection") -> None:
        """Free the role if the ending connection has it."""
        if self._holder is connection:
            self._holder = None

    def killed(self, process: Process, _when: str) -> None:
        """Free the role if a dead process has it, because the server sees the socket close."""
        if self._holder is not None and self._holder.process is process:
            self._holder = None


class RelayConnection(Pool):
    """A relay's only connection, which can lead until it closes."""

    def __init__(
        self,
        context: Context,
        schema: Schema,
        process: Process,
        leader: RelayLeader,
        noticed: asyncio.Event,
    ) -> None:
        """`noticed` is set at each event that the leader can see."""
        super().__init__(context, schema, process)
        self._leader = leader
        self.process = process
        self.noticed = noticed

    async def fetchval(self, statement: str, *args: Any) -> Any:
        """Execute as the pool does, but decide `try_lead` for this connection."""
        found = await super().fetchval(statement, *args)
        if self._handlers[statement].__name__ == "try_lead":
            return self._leader.take(self)
        return found

    def terminate(self) -> None:
        """Close the connection and free the role."""
        self._leader.leave(self)
