"""Limits the calls of one process that wait for something to happen, such as a posting.

A waiting call also has one of the process's places for calls (boundary.CallLimit). Without a limit
of their own, a few customers whose calls wait would take all these places, and the calls of all
other customers would be refused. The handler answers a call
without a place to wait at once.
"""

import uuid
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from services.chassis.settings import ServiceSettings


class WaitLimit:
    """The waiting calls of one process, all together and for each customer."""

    def __init__(self, waits_max: int, per_customer_max: int) -> None:
        self._waits_max = waits_max
        self._per_customer_max = per_customer_max
        self._waiting: Counter[uuid.UUID] = Counter()
        self._count = 0

    @classmethod
    def of(cls, settings: ServiceSettings) -> "WaitLimit":
        """Return the limits in a service's settings."""
        return cls(settings.waits_max, settings.waits_per_customer_max)

    @contextmanager
    def place(self, customer_id: uuid.UUID) -> Generator[bool]:
        """Hold a place during the block; yield False if none is free: then the call must not wait.

        Nothing queues for a place.
        """
        has_place = (
            self._count < self._waits_max and self._waiting[customer_id] < self._per_customer_max
        )
        if not has_place:
            yield False
            return
        self._count += 1
        self._waiting[customer_id] += 1
        try:
            yield True
        finally:
            self._count -= 1
            self._waiting[customer_id] -= 1
            if not self._waiting[customer_id]:
                del self._waiting[customer_id]
