"""The invariants, each checked when something happens that could break it.

Stores and ports report each event to the checker. It keeps its own books and does not trust the
tables that it watches. The first broken invariant ends the run.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bp.audit.v1.audit_events_pb2 import AuditEvent
from bp.event.v1 import topics_pb2
from bp.payments.v1.payments_events_pb2 import PaymentEvent
from bp.transfers.v1.transfers_events_pb2 import TransferEvent

from lab.simulator.context import Context
from lab.simulator.ports.clearing_house import ClearingHouse
from lab.simulator.stores.books import Books, Leg
from lab.simulator.stores.customers_tables import CustomersTables
from lab.simulator.stores.database import Row
from lab.simulator.stores.payments_tables import PaymentsTables
from lab.simulator.stores.transfers_tables import TransfersTables
from sandbox.partners.ach.book import State as HouseState
from services.chassis.kafka import Record
from services.contracts.topics import topic
from services.payments.driver import LEASE_S
from services.payments.state import PENDING, TABLE, State

LEASE_S_MAX = LEASE_S + 60 + 2 * 120
"""The longest lease or back-off, measured by the fastest clock."""

_STEPS = frozenset((state, row.to) for (state, _), row in TABLE.rows.items())
_TOLD = {
    "TransferSubmitted": 1,
    "TransferCompleted": 1,
    "TransferFailed": 1,
    "TransferReturned": 1,
    "TransferCancelled": 1,
}
"""Events of payments that notify the customer. A book transfer notifies payer and payee."""


@dataclass(frozen=True, slots=True)
class Watched:
    """The clearing house and the stores, which the checker compares."""

    house: ClearingHouse
    books: Books
    payments: PaymentsTables
    book_transfers: TransfersTables
    customers: CustomersTables


class Checker:
    """Watches one world."""

    watched: Watched
    """The world builds these parts after the checker, to which they report, and sets them here."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._note = context.note
        self._fail = context.fail
        self._customers = 0
        self._internal = 0
        self._postings: Counter[tuple[uuid.UUID, str]] = Counter()
        self._clearing: dict[uuid.UUID, int] = {}
        self._live: dict[tuple[uuid.UUID, str], uuid.UUID] = {}
        self._of_key: dict[uuid.UUID, tuple[uuid.UUID, str]] = {}
        self._amounts: dict[tuple[uuid.UUID, str], set[int]] = {}
        """The amounts that a key moved; amounts of book transfers are negative."""
        self._refunded: set[uuid.UUID] = set()
        self._versions: dict[uuid.UUID, int] = {}
        self._committed: dict[str, tuple[uuid.UUID, str]] = {}
        self._heard: dict[uuid.UUID, int] = {}
        self._reviewed: Counter[uuid.UUID] = Counter()
        self._published: set[str] = set()
        self.audited: dict[str, bool] = {}
        self.notified: dict[str, bool] = {}
        self.notifications_due = 0
        self._answers: dict[str, bytes] = {}
        self.steps = 0

    # Reports of the books.

    def opened(self, amount: int) -> None:
        """Record an opening balance."""
        self._customers += amount
        self._internal -= amount

    def moved(self, account_id: uuid.UUID, before: int, after: int) -> None:
        """Record a change of a customer's balance."""
        self._customers += after - before
        if after < 0:
            self._fail("a customer's balance is never negative", account_id, after)

    def posted(self, kind: str, reference: uuid.UUID, legs: Sequence[Leg]) -> None:
        """Record a posted transaction."""
        self._internal += sum(leg.amount for leg in legs if leg.account_id is None)
        if self._customers + self._internal != 0:
            self._fail("money is conserved", kind, reference, self._customers, self._internal)
        if kind == "BOOK_TRANSFER":
            return
        cleared = sum(leg.amount for leg in legs if leg.internal_code == "ACH_CLEARING")
        left = self._clearing.get(reference, 0) + cleared
        self._clearing[reference] = left
        if left < 0:
            self._fail("a transfer takes from clearing what it put there", kind, reference, left)
        refund = kind in ("INTERBANK_REFUND", "INTERBANK_RETURN")
        name = "refund" if refund else kind
        self._postings[reference, name] += 1
        if self._postings[reference, name] > 1:
            self._fail("a transfer is debited, settled and refunded once", kind, reference)
        if refund:
            self._refund(reference)

    def _refund(self, transfer_id: uuid.UUID) -> None:
        self._refunded.add(transfer_id)
        house = self.watched.house
        key = str(transfer_id)
        held = house.transfer(key)
        if held is None and key not in house.refused:
            self._fail("no refund while the clearing house may still get the transfer", key)
        back = (HouseState.CANCELLED, HouseState.REJECTED, HouseState.RETURNED)
        if held is not None and held.state not in back:
            self._fail("no refund while the clearing house has the transfer", key, held.state)

    def house_accepted(self, key: str) -> None:
        """Record that the clearing house accepted a transfer."""
        transfer_id = uuid.UUID(key)
        self._note("the clearing house has %s", key)
        if transfer_id in self._refunded:
            self._fail("the clearing house accepts nothing that was refunded", key)
        if transfer_id not in self._versions:
            self._fail("nothing is submitted that was not debited", key)

    # Reports of the transfers.

    def stepped(self, before: Row | None, after: Row) -> None:
        """Record a step of an interbank transfer."""
        self.steps += 1
        transfer_id: uuid.UUID = after["transfer_id"]
        state = State(after["state"])
        self._note("%s is %s, version %s", transfer_id, state.name, after["version"])
        if before is None:
            key = (after["customer_id"], after["idempotency_key"])
            self._debited(transfer_id, key)
            self._amounts.setdefault(key, set()).add(after["amount"])
        elif (State(before["state"]), state) not in _STEPS:
            self._fail("a step is one of the table", transfer_id, before["state"], state.name)
        self._versions[transfer_id] = self._versions.get(transfer_id, 0) + 1
        if after["version"] != self._versions[transfer_id]:
            self._fail("versions follow without a gap", transfer_id, after["version"])
        if state is State.FAILED and after["accepted_response"] is None:
            self._live.pop(self._of_key[transfer_id], None)
        if state in PENDING:
            until = self._context.clock.now() + timedelta(seconds=LEASE_S_MAX)
            if after["lease_until"] is None or after["lease_until"] > until:
                self._fail("a pending transfer has a lease that ends", transfer_id)

    def _debited(self, transfer_id: uuid.UUID, key: tuple[uuid.UUID, str]) -> None:
        if key in self._live:
            self._fail("a key names one transfer", key[1], self._live[key], transfer_id)
        self._live[key] = transfer_id
        self._of_key[transfer_id] = key

    # Answers to clients.

    def answered(self, transfer_id: str, body: bytes, asked: tuple[object, ...]) -> None:
        """Check the answer to a creation: the payload's own transfer, the same bytes each time."""
        first = self._answers.setdefault(transfer_id, body)
        if first != body:
            self._fail("a replay gets the first answer byte for byte", transfer_id)
        row = self.watched.payments.transfers.get(uuid.UUID(transfer_id))
        if row is None:
            self._fail("an answer is of a transfer that exists", transfer_id)
        elif (row["account_id"], row["amount"], row["idempotency_key"]) != asked:
            self._fail("a key with another payload is refused", transfer_id, *asked)

    def key_refused(self, customer_id: uuid.UUID, key: str, amount: int) -> None:
        """Check a refusal of a reused key: another transfer must have used it. The amount of a book
        transfer is negative."""
        if not self._amounts.get((customer_id, key), set()) - {amount}:
            self._fail("a refusal leaves the key free", key, amount)

    # Reports about events.

    def committed(self, row: Row) -> None:
        """Record an event that was committed to the outbox."""
        name = row["event_type"].rpartition(".")[2]
        self._committed[str(row["event_id"])] = (row["subject"], name)
        self.notifications_due += _TOLD.get(name, 0)
        if name == "BookTransferPosted":
            book = self.watched.book_transfers.made[row["subject"]]
            # The id of a client's request contains the key.
            request_id = TransferEvent.FromString(row["payload"]).metadata.correlation_id
            key = (book["customer_id"], request_id.removeprefix("request-"))
            self._debited(row["subject"], key)
            self._amounts.setdefault(key, set()).add(-book["amount"])
            is_own = book["customer_id"] == book["destination_customer_id"]
            self.notifications_due += 1 if is_own else 2

    def published(self, record: Record) -> None:
        """Record a message that the relay published."""
        event_id = record.header("ce_id")
        if event_id not in self._committed:
            self._fail("an event is published after its commit", event_id, record.header("ce_type"))
        self._published.add(event_id)

    def audit(self, record: Record) -> None:
        """Record a message of audit-logs as the audit service does: once for each id."""
        audited = AuditEvent.FromString(record.value)
        if audited.event_id in self.audited:
            return
        self.audited[audited.event_id] = True
        if audited.source_topic != topic(topics_pb2.PAYMENTS).name:
            return
        metadata = PaymentEvent.FromString(audited.payload).metadata
        transfer_id = uuid.UUID(metadata.aggregate_id)
        if metadata.aggregate_version == 0:
            # A review is not a step of the transfer.
            self._reviewed[transfer_id] += 1
            return
        heard = self._heard.get(transfer_id, 0)
        self._heard[transfer_id] = metadata.aggregate_version
        if metadata.aggregate_version != heard + 1:
            self._fail(
                "a transfer's events come in order without gaps",
                transfer_id,
                f"version {metadata.aggregate_version} after {heard}",
            )

    # Checks at the end of the run.

    def finish(self) -> None:
        """Compare all stores when no work remains."""
        self._transfers_have_ended()
        self._bank_and_house_agree()
        self._events_have_arrived()
        self._balances_are_projected()
        self._reviews_are_carried_out()

    def _transfers_have_ended(self) -> None:
        for transfer_id, row in self.watched.payments.transfers.items():
            if State(row["state"]) in PENDING or row["state"] == "SUBMITTED":
                self._fail("every transfer ends", transfer_id, row["state"])
            if self._clearing[transfer_id] != 0:
                self._fail("nothing stays in clearing", transfer_id, row["state"])
        for notice in self.watched.payments.notices.values():
            if notice["state"] not in ("APPLIED", "STALE"):
                self._fail("every notice is applied or stale", *notice.items())

    def _bank_and_house_agree(self) -> None:
        house = self.watched.house
        expected = {"COMPLETED": HouseState.SETTLED, "RETURNED": HouseState.RETURNED}
        there = {one.key: one for one in house.live_transfers()}
        for transfer_id, row in self.watched.payments.transfers.items():
            held = there.pop(str(transfer_id), None)
            state = held.state if held is not None else None
            if state is not expected.get(row["state"]):
                self._fail("bank and clearing house agree", transfer_id, row["state"], state)
            if held is not None and house.trace_of(held) != row["trace_number"]:
                self._fail("bank and clearing house agree on the trace number", transfer_id)
        if there:
            self._fail("the clearing house has only what the bank sent", *there)

    def _events_have_arrived(self) -> None:
        missing = self._committed.keys() - self.audited.keys()
        if missing:
            event_id = min(missing)
            self._fail("every event is audited", event_id, *self._committed[event_id])
        for transfer_id, version in self._versions.items():
            if self._heard.get(transfer_id) != version:
                self._fail("every step has its event", transfer_id, version)
        if len(self.notified) != self.notifications_due:
            self._fail(
                "every customer is notified once", len(self.notified), self.notifications_due
            )

    def _reviews_are_carried_out(self) -> None:
        payments = self.watched.payments
        if payments.return_checks:
            self._fail("every check for a late return ends", *payments.return_checks)
        for transfer_id, decided in payments.decisions.items():
            if decided["effect"] == "REQUESTED" or self._reviewed[transfer_id] != 1:
                self._fail("each decision has one event", transfer_id, decided["effect"])
        for transfer_id, row in payments.transfers.items():
            decided = payments.decisions.get(transfer_id)
            refused = decided is not None and decided["decision"] == "REFUSED"
            if row["cancel_requester"] == "BANK" and not refused:
                self._fail("the bank cancels only what a reviewer refused", transfer_id)
            if row["fraud_review"]:
                self._fail("each review is decided", transfer_id)

    def _balances_are_projected(self) -> None:
        for account_id, held in self.watched.books.accounts.items():
            projected = self.watched.customers.balances.get(account_id)
            if projected is not None and projected[1:] != (held.balance, held.position):
                self._fail("the projected balance is the posted one", account_id, held, projected)
            if projected is None and held.position > 1:
                self._fail("every moved balance is projected", account_id)
