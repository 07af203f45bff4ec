"""The sessions that ended before their access tokens expire, for the boundaries of other services.

Sorted set `revoked`: member the session's id, score the unix time in ms until which it matters.
`revoked:version` changes with the set, so a reader that saw the version need not read the set. It
is a time: a count could repeat an earlier value after a crash of Valkey, and a reader would miss
what changed.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis

from services.auth.scripts import load_script

log = structlog.get_logger()

MATTERS = timedelta(minutes=12)
"""An access token's ten minutes, and two by which the clocks of two machines may differ."""

ENTRIES_MAX = 100_000
"""The largest number of entries. Beyond it, those that matter for the shortest time are removed."""

BATCH_MAX = 1_000
"""How many sessions one call of a script takes."""

Value = TypeVar("Value")

_KEYS = ("revoked", "revoked:version")

_COMPARED = "revoked:compared"
"""Until when the ends of sessions were compared, in unix ms. An older copy of Valkey's data has an
older time, so it says what has to be compared again."""


class Revocations:
    """The writing side of the set."""

    def __init__(self, valkey: Redis) -> None:
        """Do not connect yet."""
        self._valkey = valkey
        self._revoke = load_script(valkey, "revoke")
        self._restore = load_script(valkey, "restore_revoked")

    async def revoke(self, session_ids: Sequence[uuid.UUID]) -> None:
        """Add sessions that end now; Valkey's clock decides until when they matter."""
        matters_ms = int(MATTERS.total_seconds() * 1000)
        for batch in _batches([str(session_id) for session_id in session_ids], BATCH_MAX):
            removed = await self._revoke(keys=_KEYS, args=[matters_ms, ENTRIES_MAX, *batch])
            if removed:
                log.error("revocations.full", removed=removed, entries_max=ENTRIES_MAX)

    async def compared_until(self) -> datetime | None:
        """Return until when the ends of sessions were compared; None if Valkey does not know."""
        found: Any = await self._valkey.get(_COMPARED)
        return None if found is None else datetime.fromtimestamp(int(found) / 1000, UTC)

    async def note_compared(self, until: datetime) -> None:
        """Note that the ends of sessions were compared until a time."""
        await self._valkey.set(_COMPARED, int(until.timestamp() * 1000))

    async def missing(
        self, recently_ended: Sequence[tuple[uuid.UUID, datetime]]
    ) -> list[tuple[uuid.UUID, datetime]]:
        """Return the ended sessions that the set does not have."""
        missing: list[tuple[uuid.UUID, datetime]] = []
        for batch in _batches(recently_ended, BATCH_MAX):
            names = [str(session_id) for session_id, _ in batch]
            scores: Any = await self._valkey.zmscore(_KEYS[0], names)
            missing += [each for each, score in zip(batch, scores, strict=True) if score is None]
        return missing

    async def reconcile(
        self, recently_ended: Iterable[tuple[uuid.UUID, datetime]]
    ) -> list[uuid.UUID]:
        """Add the sessions that the set lost, and return them.

        `recently_ended` has the sessions that the database ended within MATTERS, with the times.
        A crash of Valkey may lose the last second. What was written before a lost entry may be lost
        too, so the caller ends the families of missing sessions first.
        """
        pairs = [
            value
            for session_id, end_time in recently_ended
            for value in (str(session_id), int((end_time + MATTERS).timestamp() * 1000))
        ]
        restored: list[uuid.UUID] = []
        for batch in _batches(pairs, 2 * BATCH_MAX):
            added = await self._restore(keys=_KEYS, args=[ENTRIES_MAX, *batch])
            restored += [uuid.UUID(session_id.decode()) for session_id in added]
        if restored:
            log.warning("revocations.restored", sessions=len(restored))
        return restored


def _batches(values: Sequence[Value], size: int) -> Iterable[Sequence[Value]]:
    return (values[first : first + size] for first in range(0, len(values), size))
