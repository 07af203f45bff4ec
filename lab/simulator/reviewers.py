"""Reviewers of transfers: each transfer in the queue is cleared or refused within three days."""

import uuid
from datetime import timedelta

from lab.simulator.clock import DAY_S
from lab.simulator.context import Context
from lab.simulator.stores.database import Database
from lab.simulator.stores.payments_tables import PaymentsTables

LOOK_S = 1800.0
WITHIN_S = 3 * DAY_S
_WHEN, _DECISION = 105, 106


class Reviewers:
    """The reviewers of a world."""

    def __init__(self, context: Context, database: Database, tables: PaymentsTables) -> None:
        self._context = context
        self._database = database
        self._tables = tables

    async def work(self) -> None:
        """Decide each transfer in the queue when it is due."""
        while True:
            await self._context.loop.pause(LOOK_S)
            now = self._context.clock.now()
            for transfer_id, create_time in [*self._tables.in_review.items()]:
                number = int(self._tables.transfers[transfer_id]["idempotency_key"][1:])
                wait_s = self._context.randomness.pick(int(WITHIN_S), _WHEN, number)
                if create_time + timedelta(seconds=wait_s) < now:
                    self._decide(transfer_id, number)

    def _decide(self, transfer_id: uuid.UUID, number: int) -> None:
        cleared = self._context.randomness.pick(2, _DECISION, number) == 0
        decision = "CLEARED" if cleared else "REFUSED"
        self._context.note("a reviewer says %s about %s", decision, transfer_id)
        values = (transfer_id, decision, "eva", "asked the customer", "eva (uid 1000)")
        self._database.transact(self._tables.decide_review, values)
