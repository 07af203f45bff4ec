"""What reviewers decided, in memory: the table payments.review_decision."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from bp.event.v1 import topics_pb2

from lab.simulator.stores.database import Database, Row
from lab.simulator.stores.declines_table import DeclinesTable
from lab.simulator.stores.notices_table import WorkWatch
from lab.simulator.stores.outbox import Outbox
from services.contracts.topics import topic

_TOPIC = topic(topics_pb2.PAYMENTS).name
_CREDITED_BACK = ("FAILED", "CANCELLED", "RETURNED")


class ReviewsTable(DeclinesTable):
    """The queue of transfers in review, and the decisions."""

    def __init__(
        self, database: Database, outbox: Outbox, work: WorkWatch, now: Callable[[], datetime]
    ) -> None:
        super().__init__(database, outbox, work, now)
        self.in_review: dict[uuid.UUID, datetime] = {}
        """Transfers that wait for a reviewer, with their creation times."""
        self.decisions: dict[uuid.UUID, Row] = {}
        self.unreported: dict[uuid.UUID, bool] = {}

    def note_review(self, after: Row) -> None:
        """Add a new transfer to the queue if it needs a review."""
        if after["fraud_review"]:
            self._database.put(self.in_review, after["transfer_id"], after["create_time"])

    def decide_review(
        self, transfer_id: uuid.UUID, decision: str, reviewer: str, note: str, os_user: str
    ) -> Sequence[Row]:
        """Record a decision as payments.decide_review does, and return its effect."""
        row = self.transfers[transfer_id]
        if not row["fraud_review"]:
            return [{"decide_review": None}]
        self._database.put(self.transfers, transfer_id, {**row, "fraud_review": False})
        self._database.drop(self.in_review, transfer_id)
        effect = _effect(decision, row["state"])
        decided = {"decision": decision, "effect": effect, "reviewer": reviewer, "note": note}
        decided |= {"transfer_id": transfer_id, "decide_time": self._now(), "os_user": os_user}
        self._database.put(self.decisions, transfer_id, decided)
        self._database.put(self.unreported, transfer_id, True)
        self._database.tell(self._work.decided)
        return [{"decide_review": effect}]

    def unreported_reviews(self, rows_max: int, after: uuid.UUID) -> Sequence[Row]:
        """Return the decisions without an event yet about later transfers, by transfer."""
        later = sorted(one for one in self.unreported if one > after)
        return [self.decisions[one] for one in later[:rows_max]]

    def report_review(
        self, transfer_id: uuid.UUID, effect: str, event_id: uuid.UUID, payload: bytes
    ) -> Sequence[Row]:
        """Save the effect of a decision and write its event, once."""
        if transfer_id not in self.unreported:
            return [{"report_review": False}]
        self._database.drop(self.unreported, transfer_id)
        decided = {**self.decisions[transfer_id], "effect": effect}
        self._database.put(self.decisions, transfer_id, decided)
        row = self.transfers[transfer_id]
        event_type = "bp.payments.v1.TransferReviewed"
        event = (event_id, event_type, transfer_id, payload, row["traceparent"])
        self._outbox.append(_TOPIC, row["account_id"], event, [], self._now())
        return [{"report_review": True}]


def _effect(decision: str, state: str) -> str:
    if decision == "CLEARED":
        return "NONE"
    if state == "COMPLETED":
        return "TOO_LATE"
    return "NOT_NEEDED" if state in _CREDITED_BACK else "REQUESTED"
