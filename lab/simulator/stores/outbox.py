"""The outbox in memory: outbox.append and the relay's statements.

The relay may see a row late: its snapshot may lack the row although it contains rows of other keys
with higher numbers. Rows of one key are seen in order, because each number is drawn under the lock
of the row that the key names.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

from lab.simulator.stores.database import Database, Row


class OutboxWatch(Protocol):
    """Receives committed events, and tracks which of them no relay can see yet."""

    unseen: set[int]
    """Rows that no snapshot contains yet."""

    def committed(self, row: Row) -> None:
        """Handle a committed event."""
        ...


class Outbox:
    """The queue, the published and the parked events, with the statements of services/relay."""

    def __init__(self, database: Database, watch: OutboxWatch) -> None:
        self._database = database
        self._watch = watch
        self._drawn = 0
        self.waiting: dict[int, Row] = {}
        self.published: dict[uuid.UUID, tuple[int, int]] = {}
        self.parked: dict[int, Row] = {}

    def append(
        self, topic: str, key: uuid.UUID, event: Sequence[Any], positions: list[Row], now: datetime
    ) -> None:
        """Add an event (id, type, subject, payload, traceparent) in its cause's transaction."""
        self._drawn += 1
        event_id, event_type, subject, payload, traceparent = event
        row: Row = {
            "id": self._drawn,
            "topic": topic,
            "key": key,
            "event_id": event_id,
            "event_type": event_type,
            "subject": subject,
            "payload": payload,
            "traceparent": traceparent,
            "positions": positions,
            "create_time": now,
        }
        self._database.put(self.waiting, self._drawn, row)
        self._database.tell(self._watch.committed, row)

    def try_lead(self) -> Sequence[Any]:
        """Return True: `ports/relay_leader.py` decides which relay becomes the leader."""
        return [{"led": True}]

    def next_batch(self, rows_max: int, except_topics: Collection[str]) -> Sequence[Row]:
        """Return the oldest visible events, in order."""
        held: set[uuid.UUID] = set()
        batch: list[Row] = []
        unseen = self._watch.unseen
        for number in sorted(self.waiting):
            row = self.waiting[number]
            if number in unseen or row["key"] in held:
                held.add(row["key"])
            elif row["topic"] not in except_topics:
                batch.append(row)
                if len(batch) >= rows_max:
                    break
        return batch

    def mark_published(
        self, ids: Sequence[int], partitions: Sequence[int], offsets: Sequence[int]
    ) -> Sequence[Any]:
        """Move acknowledged events from the queue to the published events."""
        for number, partition, offset in zip(ids, partitions, offsets, strict=True):
            if number in self.waiting:
                row = self._database.drop(self.waiting, number)
                if row["event_id"] not in self.published:
                    self._database.put(self.published, row["event_id"], (partition, offset))
        return [{"moved": len(ids)}]

    def park(self, number: int, _reason: str) -> Sequence[Any]:
        """Move an event from the queue to the parked events."""
        self._database.put(self.parked, number, self._database.drop(self.waiting, number))
        return []

    def backlog(self) -> Sequence[Any]:
        """Return the relay's backlog."""
        return [{"waiting": len(self.waiting), "oldest_age_s": 0.0, "parked": len(self.parked)}]

    def free_notifications(self) -> Sequence[Any]:
        """Return that nothing of the queue of notifications is in use."""
        return [{"used": 0.0}]

    def drop_published(self) -> Sequence[Any]:
        """Drop nothing: no simulated world lasts for 60 days."""
        return [{"drop_published": 0}]

    def ensure_ledger_partitions(self) -> Sequence[Any]:
        """Do nothing: only PostgreSQL has partitions."""
        return []

    ensure_outbox_partitions = ensure_ledger_partitions
    roll_up = ensure_ledger_partitions
