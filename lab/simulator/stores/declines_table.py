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
from services.payments.rows import DeclineRow

_TOPIC = topic(topics_pb2.PAYMENTS).name


Hours = dict[tuple[uuid.UUID, datetime], tuple[int, int]]
"""Customer and hour -> numbers of recorded and of only counted declined orders."""


class DeclineCounts:
    """Which declined orders get a record; both services share the hours."""

    def __init__(self, database: Database, hours: Hours) -> None:
        self._database = database
        self._hours = hours
        self._before: dict[tuple[uuid.UUID, uuid.UUID, str], bool] = {}
        """Customer, order and reason of each record."""

    def outcome(
        self, known: tuple[uuid.UUID, uuid.UUID, str], time: datetime, recorded_max: int
    ) -> str:
        """Count an order by its customer, order and reason; return RECORDED if it gets a record."""
        if known in self._before:
            return "REPEATED"
        hour = (known[0], time.replace(minute=0, second=0, microsecond=0))
        recorded, further = self._hours.get(hour, (0, 0))
        if recorded >= recorded_max:
            self._database.put(self._hours, hour, (recorded, further + 1))
            return "FURTHER"
        self._database.put(self._hours, hour, (recorded + 1, 0))
        self._database.put(self._before, known, True)
        return "RECORDED"


class DeclinesTable(NoticesTable):
    """Declined orders. The base class has the notices."""

    def __init__(
        self, database: Database, outbox: Outbox, work: WorkWatch, now: Callable[[], datetime]
    ) -> None:
        super().__init__(database, work, now)
        self._outbox = outbox
        self.declined: dict[uuid.UUID, int] = {}
        """Declined orders with their amounts in minor units."""
        self.declines_of_hour: Hours = {}
        self._counts = DeclineCounts(database, self.declines_of_hour)

    def decline_group(self, orders: Sequence[DeclineRow], recorded_max: int) -> Sequence[Any]:
        """Record declined orders and write their events."""
        return [
            {"decline_id": order.decline_id, "outcome": self._decline(order, recorded_max)}
            for order in orders
        ]

    def _decline(self, order: DeclineRow, recorded_max: int) -> str:
        known = (order.customer_id, order.fraud_transaction_id, order.reason)
        outcome = self._counts.outcome(known, order.decline_time, recorded_max)
        if outcome != "RECORDED":
            return outcome
        self._database.put(self.declined, order.decline_id, order.amount)
        event_type = "bp.payments.v1.TransferDeclined"
        event = (order.event_id, event_type, order.decline_id, order.payload, order.traceparent)
        self._outbox.append(_TOPIC, order.account_id, event, [], self._now())
        return "RECORDED"

    def unreported_declines(self, _before: datetime, _rows_max: int) -> Sequence[Any]:
        """Return nothing: no simulated customer reaches the limit of declined orders."""
        return []

    def report_declines(self, *_values: Any) -> Sequence[Any]:
        """Do nothing: there is nothing to report."""
        return []

    def drop_old_declines(self) -> Sequence[Any]:
        """Do nothing: no simulated world lasts for five years."""
        return []

    def forget_keys(self, _rows_max: int) -> Sequence[Any]:
        """Forget nothing: no simulated world lasts for 400 days."""
        return [{"forget_keys": 0}]
