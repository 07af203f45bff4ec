"""The declined orders in memory: the part of the schema `payments` that keeps them."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from bp.event.v1 import topics_pb2

from lab.simulator.stores.database import Database
from lab.simulator.stores.notices_table import NoticesTable, WorkWatch
from lab.simulator.stores.outbox import Outbox
from services.contracts.topics import topic

_TOPIC = topic(topics_pb2.PAYMENTS).name


class DeclinesTable(NoticesTable):
    """Declined orders. The base class has the notices."""

    def __init__(
        self, database: Database, outbox: Outbox, work: WorkWatch, now: Callable[[], datetime]
    ) -> None:
        super().__init__(database, work, now)
        self._outbox = outbox
        self.declined: dict[uuid.UUID, int] = {}
        """Declined orders with their amounts in minor units."""

    def decline(self, *values: Any) -> Sequence[Any]:
        """Keep a declined order on record and write its event."""
        decline_id, _, account_id, amount = values[:4]
        event_id, payload, traceparent = values[12:]
        self._database.put(self.declined, decline_id, amount)
        event = (event_id, "bp.payments.v1.TransferDeclined", decline_id, payload, traceparent)
        self._outbox.append(_TOPIC, account_id, event, [], self._now())
        return []

    def drop_old_declines(self) -> Sequence[Any]:
        """Do nothing: no simulated world lasts for five years."""
        return []

    def unreported_reviews(self, _rows_max: int) -> Sequence[Any]:
        """Return nothing: no simulated person reviews transfers."""
        return []

    def report_review(self, *_values: Any) -> Sequence[Any]:
        """Do nothing: no simulated person reviews transfers."""
        return []

    def forget_keys(self, _rows_max: int) -> Sequence[Any]:
        """Forget nothing: no simulated world lasts for 400 days."""
        return [{"forget_keys": 0}]
