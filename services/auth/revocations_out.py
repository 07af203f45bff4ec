"""The sessions that ended before their access tokens expire, for the boundaries of other services.

Sorted set `revoked`: member the session's id, score its position, which is the time of its
revocation in microseconds by Valkey's clock. `revoked:version` is the last position. Positions only
grow, also when the clock is set back, so a reader asks for the entries after the last one that it
has read. Time and not a count: a count could repeat an earlier value after a crash of Valkey, and a
reader would miss what changed. When there are more than ENTRIES_MAX entries, those that matter for
the shortest time are removed.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis

from services.auth.scripts import load_script
from services.chassis.revocations import ENTRIES_MAX, KEPT_S, SET, VERSION

log = structlog.get_logger()

MATTERS = timedelta(seconds=KEPT_S)
"""How long the gateway may accept a token of a session that ended."""

BATCH_MAX = 1_000
"""How many sessions one call of a script takes."""

Value = TypeVar("Value")

_KEYS = (SET, VERSION)
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
        self._missing = load_script(valkey, "missing_revoked")

    async def revoke(self, session_ids: Sequence[uuid.UUID]) -> None:
        """Add sessions that end now; Valkey's clock decides until when they matter."""
        matters_us = MATTERS // timedelta(microseconds=1)
        for batch in _batches([str(session_id) for session_id in session_ids], BATCH_MAX):
            removed = await self._revoke(keys=_KEYS, args=[matters_us, ENTRIES_MAX, *batch])
            if removed:
                log.error("revocations.full", removed=removed, entries_max=ENTRIES_MAX)

    async def compared_until(self) -> datetime | None:
        """Return until when the ends of sessions were compared; None if Valkey does not know."""
        found: Any = await self._valkey.get(_COMPARED)
        return None if found is None else datetime.fromtimestamp(int(found) / 1000, UTC)

    async def note_compared(self, until: datetime) -> None:
        """Note that all ends of sessions were compared until a time."""
        await self._valkey.set(_COMPARED, int(until.timestamp() * 1000))

    async def missing(self, session_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        """Return the sessions that the set does not have."""
        missing: list[uuid.UUID] = []
        for batch in _batches(session_ids, BATCH_MAX):
            found = await self._missing(keys=_KEYS[:1], args=[str(each) for each in batch])
            missing += _ids(found)
        return missing

    async def reconcile(self, lost: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        """Add sessions that the set lost and that still matter; return those that were added.

        A crash of Valkey may lose the last second. What was written before a lost entry may be lost
        too, so the caller ends the families of missing sessions first. An entry matters for MATTERS
        from now, which is longer than necessary and harmless.
        """
        restored: list[uuid.UUID] = []
        matters_us, without_room = MATTERS // timedelta(microseconds=1), 0
        for batch in _batches([str(session_id) for session_id in lost], BATCH_MAX):
            args = [matters_us, ENTRIES_MAX, *batch]
            left_out, *added = await self._restore(keys=_KEYS, args=args)
            restored += _ids(added)
            without_room += left_out
        if without_room:
            log.error("revocations.full", not_restored=without_room, entries_max=ENTRIES_MAX)
        if restored:
            log.warning("revocations.restored", sessions=len(restored))
        return restored


def _batches(values: Sequence[Value], size: int) -> Iterable[Sequence[Value]]:
    return (values[first : first + size] for first in range(0, len(values), size))


def _ids(members: Sequence[bytes]) -> list[uuid.UUID]:
    return [uuid.UUID(member.decode()) for member in members]
