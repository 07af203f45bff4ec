"""Begins operations, and kills or freezes workers, in bursts over three days."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

from lab.simulator.clients import Clients
from lab.simulator.clock import DAY_S
from lab.simulator.context import Context
from lab.simulator.machine import Machine, Slot
from lab.simulator.processes import Process
from lab.simulator.randomness import Point

DAYS = 3
BURST = 40
"""Operations that begin within a few seconds."""

BURST_S = 4.0

_BURST_AT, _AT, _CRASH_AT, _FROZEN = 91, 92, 95, 96


class Traffic:
    """The timetable of a world."""

    def __init__(self, context: Context, operations: Collection[int]) -> None:
        self._context = context
        self._operations = operations

    async def operate(self, clients: Clients, outside: Process) -> None:
        """Begin every operation at its time, and wait until all have ended."""
        times = sorted((self._begins_at(number), number) for number in self._operations)
        begun: list[asyncio.Task[Any]] = []
        for at_s, number in times:
            await asyncio.sleep(max(0.0, at_s - self._context.loop.now_s))
            begun.append(outside.spawn(clients.operate(number), number))
        for task in begun:
            await task

    def _begins_at(self, number: int) -> float:
        burst_at_s = self._burst_at(number // BURST)
        return burst_at_s + self._context.randomness.between(0, BURST_S, _AT, number)

    def _burst_at(self, burst: int) -> float:
        return self._context.randomness.pick(int(DAYS * DAY_S), _BURST_AT, burst)

    async def misfortunes(self, machine: Machine, slots: Iterable[Slot]) -> None:
        """Kill and freeze workers of these slots while transfers are in flight."""
        victims = tuple(slots)
        bursts = sorted({number // BURST for number in self._operations})
        for at_s, burst in sorted((self._burst_at(burst), burst) for burst in bursts):
            await asyncio.sleep(max(0.0, at_s - self._context.loop.now_s))
            for slot in victims:
                self._inject(machine, slot, burst)

    def _inject(self, machine: Machine, slot: Slot, burst: int) -> None:
        loop, randomness, process = self._context.loop, self._context.randomness, slot.process
        place = process.entity // 1000 % 100 * 10_000 + burst
        at_s = randomness.between(0, BURST_S, _CRASH_AT, place)
        if randomness.injects(Point.PROCESS_CRASH, place):
            loop.call_later(at_s, lambda: machine.kill(slot.process, "at a random moment"))
        if randomness.injects(Point.PROCESS_PAUSE, place):
            seconds = randomness.between(5, 200, _FROZEN, place)
            self._context.note("%s freezes for %.0f s", process.name, seconds)
            loop.call_later(at_s, lambda: slot.process.freeze(seconds))
