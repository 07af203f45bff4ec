"""What a run left in every store: waited for, timed, and counted transfer by transfer."""

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

from sandbox.bench.generator import Outcome
from sandbox.bench.stand import Stand
from sandbox.waiting import scaled_s
from services.chassis.postgres import load_queries

DRAIN_S_MAX = 60.0
LOOK_EVERY_S = 0.2
_SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True, slots=True)
class Drained:
    """How the events came after the load."""

    seconds: float
    """From the last answer until the last event was on record."""
    lag_p99_ms: float
    """From what occurred to its record, of 99 in 100 events after the warm-up."""


@asynccontextmanager
async def _database(stand: Stand, name: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await stand.connect(name)
    try:
        yield connection
    finally:
        await connection.close()


def _since(outcome: Outcome, later_s: float = 0.0) -> datetime:
    return datetime.fromtimestamp(outcome.begin_time + later_s, UTC)


async def drain(stand: Stand, outcome: Outcome, warm_up_s: float) -> Drained:
    """Wait until every event of the run is in Kafka, on record and told; TimeoutError if not."""
    audit = load_queries(_SQL / "audit.sql")
    since, deadline = _since(outcome), time.monotonic() + scaled_s(DRAIN_S_MAX)
    async with (
        _database(stand, "bp_write") as write,
        _database(stand, "bp_audit") as record,
        _database(stand, "bp_notifications") as notices,
    ):
        while not await _quiet(write, record, notices, since, outcome.accepted):
            if time.monotonic() > deadline:
                raise TimeoutError(f"events are still under way after {scaled_s(DRAIN_S_MAX):g} s")
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
    """Say whether nothing is on its way: outbox, log, messages, pushes."""
    w, a = load_queries(_SQL / "write.sql"), load_queries(_SQL / "audit.sql")
    if int(await write.fetchval(w.waiting) or 0):
        return False
    if await write.fetchval(w.published_count, since) != await record.fetchval(
        a.recorded_count, since
    ):
        return False
    n = load_queries(_SQL / "notifications.sql")
    if int(await notices.fetchval(n.told_count, since) or 0) < transfers:
        return False
    return not int(await notices.fetchval(n.pending, since) or 0)


async def differences(stand: Stand, outcome: Outcome, prefix: str) -> list[str]:
    """Return what is wrong: an accepted transfer that a store lacks, or one that nobody asked."""
    since, accepted = _since(outcome), set(outcome.transfer_ids)
    queries = load_queries(_SQL / "write.sql")
    async with _database(stand, "bp_write") as write:
        made = _column(await write.fetch(queries.transfers, prefix))
        posted = _column(await write.fetch(queries.posted, since))
        published = await write.fetch(queries.published, since)
    async with _database(stand, "bp_audit") as audit:
        recorded = _column(await audit.fetch(load_queries(_SQL / "audit.sql").recorded, since))
    async with _database(stand, "bp_notifications") as notices:
        told = _column(await notices.fetch(load_queries(_SQL / "notifications.sql").told, since))
    mine = {row["event_id"] for row in published if row["subject"] in accepted}
    found = [
        _lacking("answers have transfers of their own", outcome.accepted - len(accepted)),
        _lacking("transfers are stored", len(accepted - made)),
        _lacking("transfers were answered", len(made - accepted) - _unclear(outcome)),
        _lacking("transfers are in the books", len(accepted - posted)),
        _lacking("transfers have events", len(accepted - {row["subject"] for row in published})),
        _lacking("events are on record", len(mine - recorded)),
        _lacking("transfers were told to their customer", len(accepted - told)),
    ]
    return [one for one in found if one]


def _unclear(outcome: Outcome) -> int:
    """Requests whose answer was lost or was an error: they may have left a transfer."""
    return sum(outcome.refused.values()) + outcome.unanswered


def _lacking(what: str, count: int) -> str:
    return f"not all {what}: {count} lack it" if count > 0 else ""


def _column(rows: Iterable[Any]) -> set[str]:
    return {row[0] for row in rows}
