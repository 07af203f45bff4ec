"""The machine that runs the bank's processes: it starts services, kills workers and replaces them.

It does not know any service. The world passes the function that starts a worker, and the machine
calls it again after a crash.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from lab.simulator.loop import VirtualLoop
from lab.simulator.processes import SKEW_S_MAX, Process
from lab.simulator.randomness import Randomness

Method = Callable[[Any, Any], Awaitable[Any]]
"""A gRPC method: request and context in, response out."""

Start = Callable[[Process, int], dict[str, Method]]
"""Starts the worker with a number in a process; returns the worker's methods by name."""

FIRST_ENTITY = 1_000_000
ENTITIES_PER_SLOT = 1000
"""Each process of a slot has its own entity number, which increases with each restart."""

_SKEW, _BACK = 93, 94


@dataclass(slots=True)
class Slot:
    """A worker of a service: its current process, and its methods."""

    name: str
    number: int
    start: Start
    process: Process
    methods: dict[str, Method] = field(default_factory=dict[str, Method])


@dataclass(frozen=True, slots=True)
class Service:
    """A service with its workers. It has no workers until the machine starts them."""

    name: str
    slots: list[Slot] = field(default_factory=list[Slot])


class Machine:
    """All processes of the bank."""

    def __init__(
        self, loop: VirtualLoop, randomness: Randomness, note: Callable[..., None]
    ) -> None:
        self._loop = loop
        self._randomness = randomness
        self._note = note
        self._slots: dict[Process, Slot] = {}
        self._slots_made = 0
        self.death_listeners: list[Callable[[Process, str], None]] = []
        """Called with the reason after a process has been killed."""

    def start(self, service: Service, count: int, start: Start) -> None:
        """Start `count` workers of a service."""
        service.slots.extend(self._slot(service.name, number, start) for number in range(count))

    def _slot(self, name: str, number: int, start: Start) -> Slot:
        self._slots_made += 1
        entity = FIRST_ENTITY + self._slots_made * ENTITIES_PER_SLOT
        skew_s = self._randomness.between(-SKEW_S_MAX, SKEW_S_MAX, _SKEW, number)
        process = Process(self._loop, f"{name}/{number}", entity, skew_s)
        slot = Slot(name, number, start, process)
        self._begin(slot)
        return slot

    def _begin(self, slot: Slot) -> None:
        self._slots[slot.process] = slot
        slot.methods = slot.start(slot.process, slot.number)

    async def crash(self, process: Process, when: str) -> None:
        """Kill the running process, and start a new one later. This call never returns."""
        self.kill(process, when)
        await process.gone()

    def kill(self, process: Process, when: str) -> None:
        """Kill a process, and start a new one a little later."""
        if not process.alive:
            return
        self._note("%s is killed %s", process.name, when)
        process.crash()
        for listener in self.death_listeners:
            listener(process, when)
        delay_s = self._randomness.between(0.3, 8, _BACK, process.entity)
        self._loop.call_later(delay_s, self._replace, process)

    def _replace(self, process: Process) -> None:
        slot = self._slots.pop(process)
        slot.process = Process(self._loop, process.name, process.entity + 1, process.skew_s)
        self._begin(slot)
        self._note("%s is back", slot.process.name)
