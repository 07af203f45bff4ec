"""The outbox's side of the world: when a relay sees an event, and which relay has the lead."""

from typing import TYPE_CHECKING, Any

from sandbox.simulator.chance import Point
from sandbox.simulator.connections import Connection
from sandbox.simulator.processes import Process

if TYPE_CHECKING:
    from sandbox.simulator.world import World

_SEEN = 97


class Lead:
    """The lock that makes one relay the active one, and the notices that it hears."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._leader: Connection | None = None

    def committed(self, row: dict[str, Any]) -> None:
        """Take an event whose transaction has committed."""
        self._world.checker.committed(row)
        if self._world.chance.strikes(Point.COMMIT_SEEN_LATE, 0):
            self._world.outbox.unseen.add(row["id"])
            delay_s = self._world.chance.between(0.001, 0.5, _SEEN, 0)
            self._world.loop.call_later(delay_s, self._seen, row["id"])
        else:
            self._notify()

    def _seen(self, number: int) -> None:
        self._world.outbox.unseen.discard(number)
        self._notify()

    def _notify(self) -> None:
        if self._leader is not None and self._leader.hears is not None:
            self._leader.hears()

    def take(self, connection: Connection) -> bool:
        """Give the lead to a connection if nobody has it."""
        if self._leader is None:
            self._leader = connection
        return self._leader is connection

    def leave(self, connection: Connection) -> None:
        """Take the lead from a connection that ends."""
        if self._leader is connection:
            self._leader = None

    def killed(self, process: Process) -> None:
        """Take the lead from a process that is dead: the server sees its socket close."""
        if self._leader is not None and self._leader.process is process:
            self._leader = None
