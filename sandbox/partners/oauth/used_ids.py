"""The JWT ids that clients used: each id is accepted once, also after kill -9 (RFC 7523, 3).

An id is kept until its JWT has expired. The number of ids has a limit; beyond it the provider
refuses assertions, because it could not detect a repeated one.
"""

import hashlib
import heapq
from pathlib import Path

from sandbox.partners.journal import Journal

DIGEST_CHARACTERS = 32
SPARE_RECORDS = 1000
"""The journal may have this many records more than twice the ids, so it is rarely rewritten."""


class UsedIdsError(RuntimeError):
    """Too many ids are in use. Retry later, or raise used_ids_max."""


class UsedIds:
    """The ids of one provider, with their journal."""

    def __init__(self, path: Path, size_max: int) -> None:
        """Read the journal."""
        self._journal = Journal(path)
        self._size_max = size_max
        self._known: set[str] = set()
        self._by_expiry: list[tuple[float, str]] = []
        for _, record in self._journal.replay():
            self._add(record["id"], record["until"])

    def take(self, name: str, until: float, now: float) -> bool:
        """Record an id until a unix time; return False when it was already recorded."""
        self._drop_expired(now)
        key = hashlib.sha256(name.encode()).hexdigest()[:DIGEST_CHARACTERS]
        if key in self._known:
            return False
        if len(self._known) >= self._size_max:
            raise UsedIdsError
        self._journal.append({"id": key, "until": until})
        self._add(key, until)
        if self._journal.records > 2 * len(self._known) + SPARE_RECORDS:
            self._journal.replace({"id": each, "until": end} for end, each in self._by_expiry)
        return True

    def close(self) -> None:
        """Release the journal."""
        self._journal.close()

    def _add(self, key: str, until: float) -> None:
        self._known.add(key)
        heapq.heappush(self._by_expiry, (until, key))

    def _drop_expired(self, now: float) -> None:
        while self._by_expiry and self._by_expiry[0][0] <= now:
            self._known.discard(heapq.heappop(self._by_expiry)[1])
