"""What a stretch of time cost the bank: CPU, statements, bytes and memory, by part.

`async with metered(…) as spent:` looks before and after, and at memory every few seconds between;
`spent` is filled when the block has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.bench import cpu, database, storage
from sandbox.bench.stand import Stand

MEMORY_EVERY_S = 5.0
STATISTICS_IN = "bp_write"
"""A database that has pg_stat_statements; it shows the statements of all."""


@dataclass(slots=True)
class Spent:
    """What it took. Empty until the block has ended."""

    seconds: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict[str, float])
    """CPU seconds by part, most first."""
    others_cpu_s: float = 0.0
    """CPU seconds of whatever else ran on the machine, the kernel's own work included …"""
    stolen_cpu_s: float = 0.0
    """… and those that the host gave to other machines."""
    database: database.Work = database.NO_WORK
    kafka_bytes: int = 0
    """By how much Kafka's logs grew."""
    memory_mib: list[tuple[float, dict[str, float]]] = field(
        default_factory=list[tuple[float, dict[str, float]]]
    )
    """Seconds since the start, and the memory of each part."""

    @property
    def peak_mib(self) -> float:
        """The most memory that all parts had together at one of the looks."""
        return max((round(sum(parts.values()), 1) for _, parts in self.memory_mib), default=0.0)

    @property
    def bank_cpu_s(self) -> float:
        """CPU seconds of the bank, without the outside world."""
        return cpu.of_the_bank(self.cpu_s)

    @property
    def others_share(self) -> float:
        """The share of all cores that neither bank nor partners nor bench could use."""
        there = self.seconds * (os.cpu_count() or 1)
        return (self.others_cpu_s + self.stolen_cpu_s) / there if there else 0.0

    @property
    def disk_bytes(self) -> int:
        """Bytes written by the two stores that keep what a transfer leaves."""
        return self.database.written_bytes + self.kafka_bytes


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    machine: cpu.Machine
    own_cpu_s: float
    cpu_s: Mapping[str, float]
    database: database.Snapshot
    kafka_bytes: int


@asynccontextmanager
async def metered(
    stand: Stand, pids: Mapping[str, int], memory_every_s: float = MEMORY_EVERY_S
) -> AsyncGenerator[Spent]:
    """Measure what happens inside the block."""
    spent, trees = Spent(), cpu.trees(pids)
    before = await _look(stand, pids)
    watching = asyncio.create_task(_watch(spent, trees, memory_every_s))
    try:
        yield spent
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    _fill(spent, before, await _look(stand, pids))


async def _look(stand: Stand, pids: Mapping[str, int]) -> _Look:
    connection = await stand.connect(STATISTICS_IN)
    try:
        asked = await database.Snapshot.take(connection)
    finally:
        await connection.close()
    return _Look(
        time.monotonic(),
        cpu.Machine.now(),
        cpu.own_s(),
        cpu.snapshot(pids),
        asked,
        storage.folder_bytes(kafka_data(stand), ".log"),
    )


def kafka_data(stand: Stand) -> Path:
    """Return where Kafka keeps its logs."""
    return stand.stack.home.data / "kafka"


async def _watch(spent: Spent, trees: Mapping[str, Sequence[int]], every_s: float) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(every_s)
        memory = await asyncio.to_thread(storage.memory_mib, trees)
        spent.memory_mib.append((round(time.monotonic() - begun, 1), memory))


def _fill(spent: Spent, before: _Look, after: _Look) -> None:
    spent.seconds = after.at - before.at
    spent.cpu_s = cpu.between(before.cpu_s, after.cpu_s)
    told_s = sum(spent.cpu_s.values()) + after.own_cpu_s - before.own_cpu_s
    spent.others_cpu_s = max(0.0, after.machine.busy_s - before.machine.busy_s - told_s)
    spent.stolen_cpu_s = after.machine.stolen_s - before.machine.stolen_s
    spent.database = database.between(before.database, after.database)
    spent.kafka_bytes = after.kafka_bytes - before.kafka_bytes
