"""What a stretch of time cost the bank: CPU, statements, bytes and memory, by part.

`async with metered(…) as spent:` looks before and after, and at memory every few seconds between;
`spent` is filled when the block has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
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
    database: database.Work = database.NO_WORK
    disk_bytes: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes that parts wrote."""
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
    def bank_disk_bytes(self) -> int:
        """Bytes that the bank wrote."""
        return sum(size for name, size in self.disk_bytes.items() if not cpu.is_outside(name))


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    cpu_s: Mapping[str, float]
    database: database.Snapshot
    disk_bytes: Mapping[str, int]
    kafka_bytes: int


@asynccontextmanager
async def metered(
    stand: Stand, pids: Mapping[str, int], memory_every_s: float = MEMORY_EVERY_S
) -> AsyncGenerator[Spent]:
    """Measure what happens inside the block."""
    spent, trees = Spent(), cpu.trees(pids)
    before = await _look(stand, pids, trees)
    watching = asyncio.create_task(_watch(spent, trees, memory_every_s))
    try:
        yield spent
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    _fill(spent, before, await _look(stand, pids, cpu.trees(pids)))


async def _look(stand: Stand, pids: Mapping[str, int], trees: Mapping[str, Sequence[int]]) -> _Look:
    connection = await stand.connect(STATISTICS_IN)
    try:
        asked = await database.Snapshot.take(connection)
    finally:
        await connection.close()
    return _Look(
        time.monotonic(),
        cpu.snapshot(pids),
        asked,
        storage.written(trees),
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
    spent.database = database.between(before.database, after.database)
    spent.disk_bytes = {
        name: after.disk_bytes[name] - size
        for name, size in before.disk_bytes.items()
        if name in after.disk_bytes
    }
    spent.kafka_bytes = after.kafka_bytes - before.kafka_bytes
