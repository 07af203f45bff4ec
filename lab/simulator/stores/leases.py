"""The partial indexes on lease_until in memory: they show which transfers are due, and when."""

import heapq
import uuid
from collections.abc import Collection
from datetime import datetime

from lab.simulator.stores.database import Database


class Leases:
    """The transfers in some states, ordered by the end of their leases."""

    def __init__(self, database: Database, states: Collection[str]) -> None:
        self._database = database
        self._states = states
        self.until: dict[uuid.UUID, datetime] = {}
        self._heap: list[tuple[datetime, uuid.UUID]] = []
        """The same entries as a heap. Some of them may be outdated."""

    def __len__(self) -> int:
        return len(self.until)

    def keep(self, transfer_id: uuid.UUID, state: str, until: datetime) -> bool:
        """Add or remove a transfer by its state. Return whether the index has the transfer."""
        if state in self._states:
            self._database.put(self.until, transfer_id, until)
            heapq.heappush(self._heap, (until, transfer_id))
            return True
        if transfer_id in self.until:
            self._database.drop(self.until, transfer_id)
        return False

    def over(self, now: datetime) -> list[uuid.UUID]:
        """Return the transfers whose lease has ended, the oldest end first."""
        first = self.next_due()
        if first is None or first >= now:
            return []
        return [
            found
            for end, found in sorted((end, one) for one, end in self.until.items())
            if end < now
        ]

    def next_due(self) -> datetime | None:
        """Return the end of the next lease; None if there is no lease."""
        heap = self._heap
        while heap and self.until.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None
