"""Half an hour at a steady rate shows whether memory, latency, tables and topics grow.

The rate is well below the bank's maximum, so no queue builds up. Tables and topics that keep every
transfer must grow and are reported separately. Everything else that grows is reported by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from lab.bench import series
from lab.bench.bench import Bench
from lab.bench.load import orders
from lab.bench.meters import meter, storage
from lab.bench.runs import TOKENS_USED_S, Load, Result
from services.chassis.postgres import load_queries
from services.contracts.topics import all_topics

RATE_PER_S = 100.0
SECONDS = 1800.0
WARM_UP_S = 120.0
SIZES_EVERY_S = 30.0
SLICE_S = 60.0
DATABASES = ("bp_write", "bp_customers", "bp_audit", "bp_notifications")
KEPT_FOR_EVER = (
    "ledger.entry_",
    "payments.interbank_transfer_",
    "payments.idempotency_key",
    "outbox.published_",
    "audit.record_",
    "notif.notification_",
    "notif.delivery_",
)
"""Prefixes of tables that keep a row for each transfer or event, including their partitions."""
KEPT_TOPICS = tuple(each.name for each in all_topics())
"""Topics that keep a message for each event until the retention ends."""
GROWTH_MIB_A_MINUTE = 0.05
"""Slower growth than this is ignored: 72 MiB a day."""
PART_MIB_A_MINUTE = 0.5
_SQL = load_queries(Path(__file__).parent / "sql" / "growing.sql")


@dataclass(frozen=True, slots=True)
class Growth:
    """A part, table or topic, and how fast it grows."""

    name: str
    mib_a_minute: float


async def soak(bench: Bench) -> None:
    """Run the load, watch the sizes, and report what grew."""
    load = bench.scale.arrivals("soak", RATE_PER_S, WARM_UP_S, SECONDS)
    load = load.sliced(SLICE_S if load.seconds >= 2 * SLICE_S else 1.0)
    sizes: list[tuple[float, dict[str, int]]] = []
    watching = asyncio.create_task(_watch(bench, sizes))
    try:
        requests = orders.interbank(bench.test_bench, bench.callers)
        result = await bench.measure(load, requests, later=await _later(bench, load))
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
    memory = [look for look in result.spent.memory_mib if look[0] >= load.warm_up_s]
    stored = [look for look in sizes if look[0] >= load.warm_up_s]
    bench.found.figures |= figures(result, memory)
    bench.found.details["soak"] = {
        "parts_growing": _by_name(parts_growing(memory)),
        "tables_and_topics_growing": _by_name(growing(stored)),
        "kept_for_ever": _by_name(kept(stored)),
    }


async def _later(bench: Bench, load: Load) -> list[list[orders.Request]]:
    """Return the requests with later tokens, because the run is longer than a token is valid."""
    begins = range(1, 1 + int(load.whole_s // TOKENS_USED_S))
    return [
        orders.interbank(
            bench.test_bench,
            await orders.payers(bench.test_bench, begin_in_s=number * TOKENS_USED_S),
        )
        for number in begins
    ]


def figures(result: Result, memory: list[tuple[float, dict[str, float]]]) -> dict[str, float]:
    """Return two slopes a minute: the memory of all parts, and the p99 latency."""
    minutes = [at / 60 for at, _ in memory]
    first = round(result.load.warm_up_s / result.load.slice_s)
    p99 = [p99_ms for *_, p99_ms in result.outcome.slices][first:]
    at = [n * result.load.slice_s / 60 for n in range(len(p99))]
    return {
        "soak.rss_slope": round(series.slope(minutes, [sum(p.values()) for _, p in memory]), 3),
        "soak.p99_slope_ms": round(series.slope(at, p99), 3),
    }


def parts_growing(memory: list[tuple[float, dict[str, float]]]) -> list[Growth]:
    """Return the parts whose memory grows, fastest first."""
    found = _slopes([(at, dict(parts)) for at, parts in memory])
    return [one for one in found if one.mib_a_minute > PART_MIB_A_MINUTE]


def growing(looks: list[tuple[float, dict[str, int]]]) -> list[Growth]:
    """Return the tables and topics that grow although they do not keep every row."""
    return [one for one in _in_mib(looks) if not _is_kept(one.name)]


def kept(looks: list[tuple[float, dict[str, int]]]) -> list[Growth]:
    """Return the tables and topics that grow because they keep every row."""
    return [one for one in _in_mib(looks) if _is_kept(one.name)]


def _in_mib(looks: list[tuple[float, dict[str, int]]]) -> list[Growth]:
    mib = [(at, {name: size / 2**20 for name, size in sizes.items()}) for at, sizes in looks]
    return [one for one in _slopes(mib) if one.mib_a_minute > GROWTH_MIB_A_MINUTE]


def _is_kept(name: str) -> bool:
    if name.startswith("topic "):
        return name.removeprefix("topic ") in KEPT_TOPICS
    return name.startswith(KEPT_FOR_EVER)


def _slopes(looks: list[tuple[float, dict[str, float]]]) -> list[Growth]:
    names = {name for _, values in looks for name in values}
    minutes = [at / 60 for at, _ in looks]
    found = [
        Growth(name, round(series.slope(minutes, [v.get(name, 0.0) for _, v in looks]), 3))
        for name in names
    ]
    return sorted(found, key=lambda one: -one.mib_a_minute)


def _by_name(found: list[Growth]) -> dict[str, float]:
    return {one.name: one.mib_a_minute for one in found}


async def _watch(bench: Bench, looks: list[tuple[float, dict[str, int]]]) -> None:
    begun = time.monotonic()
    while True:
        sizes: dict[str, int] = {}
        for database in DATABASES:
            connection = await bench.test_bench.connect(database)
            try:
                rows = await connection.fetch(_SQL.sizes)
            finally:
                await connection.close()
            sizes |= {row["name"]: row["bytes"] for row in rows}
        topics = await asyncio.to_thread(storage.topic_bytes, meter.kafka_data(bench.test_bench))
        sizes |= {f"topic {name}": size for name, size in topics.items()}
        looks.append((time.monotonic() - begun, sizes))
        await asyncio.sleep(min(SIZES_EVERY_S, (bench.scale.seconds or SECONDS) / 10))
