"""The cost of a block of code for the bank: CPU, statements, bytes and memory, by part.

`async with metered(…) as spent:` reads the counters before and after the block, and memory every
few seconds inside it. `spent` is filled when the block has ended.
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

from lab.bench.meters import cpu, database, storage
from lab.bench.test_bench import TestBench

MEMORY_EVERY_S = 5.0
STATISTICS_IN = "bp_write"
"""A database with pg_stat_statements. It shows the statements of all databases."""


@dataclass(slots=True)
class Spent:
    """The cost of the block. Empty until the block has ended."""

    seconds: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict[str, float])
    """CPU seconds by part, largest first."""
    others_cpu_s: float = 0.0
    """CPU seconds of everything else on the machine, including the kernel's own work …"""
    stolen_cpu_s: float = 0.0
    """… and CPU seconds that the host gave to other machines."""
    database: database.Work = database.NO_WORK
    kafka_bytes: int = 0
    """Bytes by which Kafka's logs grew."""
    memory_mib: list[tuple[float, dict[str, float]]] = field(
        default_factory=list[tuple[float, dict[str, float]]]
    )
    """Samples: seconds since the start, and the memory of each part."""

    @property
    def peak_mib(self) -> float:
        """The largest sum of all parts' memory in one sample."""
        return max((round(sum(parts.values()), 1) for _, parts in self.memory_mib), default=0.0)

    @property
    def bank_cpu_s(self) -> float:
        """CPU seconds of the bank, without the outside world."""
        return cpu.of_the_bank(self.cpu_s)

    @property
    def others_share(self) -> float:
        """The share of all cores that was not available to the bank, the partners and the bench."""
        there = self.seconds * (os.cpu_count() or 1)
        return (self.others_cpu_s + self.stolen_cpu_s) / there if there else 0.0

    @property
    def disk_bytes(self) -> int:
        """Bytes written by PostgreSQL and Kafka."""
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
    test_bench: TestBench, pids: Mapping[str, int], memory_every_s: float = MEMORY_EVERY_S
) -> AsyncGenerator[Spent]:
    """Measure what happens inside the block."""
    spent, trees = Spent(), cpu.trees(pids)
    before = await _look(test_bench, pids)
    watching = asyncio.create_task(_watch(spent, trees, memory_every_s))
    try:
        yield spent
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    _fill(spent, before, await _look(test_bench, pids))


async def _look(test_bench: TestBench, pids: Mapping[str, int]) -> _Look:
    connection = await test_bench.connect(STATISTICS_IN)
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
        storage.folder_bytes(kafka_data(test_bench), ".log"),
    )


def kafka_data(test_bench: TestBench) -> Path:
    """Return the folder of Kafka's logs."""
    return test_bench.stack.home.data / "kafka"


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
