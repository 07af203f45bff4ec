"""Completeness of a run: every accepted transfer must be in every store, with all its events.

`drain` waits for the events and measures their lag. `differences` compares the stores by id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from lab.bench.load.generator import Outcome
from lab.bench.test_bench import TestBench
from ops.waiting import scaled_s
from services.chassis.postgres import load_queries

DRAIN_S_MAX = 60.0
LOOK_EVERY_S = 0.2
_SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True)
class Drained:
    """How the events arrived after the load."""

    seconds: float
    """From the last answer until the last event is in the audit log and every push is delivered."""
    lag_p99_ms: float
    """99th percentile of the time from an event to its audit record, without the warm-up."""


@asynccontextmanager
async def _database(test_bench: TestBench, name: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await test_bench.connect(name)
    try:
        yield connection
    finally:
        await connection.close()


def _since(outcome: Outcome, later_s: float = 0.0) -> datetime:
    return datetime.fromtimestamp(outcome.begin_time + later_s, UTC)


async def drain(test_bench: TestBench, outcome: Outcome, warm_up_s: float) -> Drained:
    """Wait until every event of the run is in Kafka and in the audit log and every push is sent.

    TimeoutError: events are still in flight after `DRAIN_S_MAX`.
    """
    audit = load_queries(_SQL / "audit.sql")
    since, deadline = _since(outcome), time.monotonic() + scaled_s(DRAIN_S_MAX)
    async with (
        _database(test_bench, "bp_write") as write,
        _database(test_bench, "bp_audit") as record,
        _database(test_bench, "bp_notifications") as notices,
    ):
        while not await _quiet(write, record, notices, since, outcome.accepted):
            if time.monotonic() > deadline:
                raise TimeoutError(f"events are still in flight after {scaled_s(DRAIN_S_MAX):g} s")
            await asyncio.sleep(LOOK_EVERY_S)
        seconds = time.time() - outcome.end_time
        lag = await record.fetchval(audit.lag, _since(outcome, warm_up_s))
    return Drained(round(seconds, 3), round(lag or 0.0, 1))


async def _quiet(
    write: asyncpg.Connection,
    record: asyncpg.Connection,
    notices: asyncpg.Connection,
    since: datetime,
    transfers: int,
) -> bool:
    """Return whether outbox, audit log, notifications and pushes have caught up."""
    w, a = load_queries(_SQL / "write.sql"), load_queries(_SQL / "audit.sql")
    if int(await write.fetchval(w.waiting) or 0):
        return False
    if await write.fetchval(w.published_count, since) != await record.fetchval(
        a.recorded_count, since
    ):
        return False
    n = load_queries(_SQL / "notifications.sql")
    if int(await notices.fetchval(n.notified_count, since) or 0) < transfers:
        return False
    return not int(await notices.fetchval(n.pending, since) or 0)


async def differences(test_bench: TestBench, outcome: Outcome, prefix: str) -> list[str]:
    """Return the differences: accepted transfers that a store lacks, or transfers without an
    answer.

    `prefix` is the prefix of the run's idempotency keys.
    """
    since, accepted = _since(outcome), set(outcome.transfer_ids)
    queries = load_queries(_SQL / "write.sql")
    async with _database(test_bench, "bp_write") as write:
        made = _column(await write.fetch(queries.transfers, prefix))
        posted = _column(await write.fetch(queries.posted, since))
        published = await write.fetch(queries.published, since)
    async with _database(test_bench, "bp_audit") as audit:
        recorded = _column(await audit.fetch(load_queries(_SQL / "audit.sql").recorded, since))
    async with _database(test_bench, "bp_notifications") as notices:
        notified = _column(
            await notices.fetch(load_queries(_SQL / "notifications.sql").notified, since)
        )
    mine = {row["event_id"] for row in published if row["subject"] in accepted}
    found = [
        _lacking("answers have a transfer id of their own", outcome.accepted - len(accepted)),
        _lacking("transfers are stored", len(accepted - made)),
        _lacking("transfers were answered", len(made - accepted) - _unclear(outcome)),
        _lacking("transfers are in the books", len(accepted - posted)),
        _lacking("transfers have events", len(accepted - {row["subject"] for row in published})),
        _lacking("events are in the audit log", len(mine - recorded)),
        _lacking("transfers have a notification", len(accepted - notified)),
    ]
    return [one for one in found if one]


def _unclear(outcome: Outcome) -> int:
    """Number of requests with an error or no answer; each may still have created a transfer."""
    return sum(outcome.refused.values()) + outcome.unanswered


def _lacking(what: str, count: int) -> str:
    return f"not all {what}: {count} missing" if count > 0 else ""


def _column(rows: Iterable[Any]) -> set[str]:
    return {value for (value,) in rows}
