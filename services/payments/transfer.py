"""The interbank transfer as a frozen value, and how a fact changes it. Pure."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from services.kernel.ids import order_id_of
from services.kernel.money import Money
from services.payments.state import TABLE, Event, State, Transition, transition


class Requester(Enum):
    """Who requested a cancellation; the names of InterbankTransfer.Requester and of CancelRequester
    in the contract."""

    CUSTOMER = "CUSTOMER"
    BANK = "BANK"
    """A reviewer refused the transfer. The customer must not learn this reason."""


@dataclass(frozen=True, slots=True)
class Beneficiary:
    """The account at another bank."""

    name: str
    routing_number: str
    account_number: str
    account_type: str
    """CHECKING or SAVINGS."""


@dataclass(frozen=True, slots=True)
class InterbankTransferOrder:
    """A customer's order, before anything is posted."""

    customer_id: uuid.UUID
    account_id: uuid.UUID
    amount: Money
    beneficiary: Beneficiary
    memo: str
    idempotency_key: str
    fingerprint: bytes
    correlation_id: str
    traceparent: str
    former_fingerprint: bytes | None = None
    """What an earlier version stored for the same request; None if it is the same."""

    def is_for(self, stored: bytes) -> bool:
        """Return whether a key's stored fingerprint belongs to this order."""
        return stored in (self.fingerprint, self.former_fingerprint)


def order_id(order: InterbankTransferOrder) -> uuid.UUID:
    """Return the id of a customer's order; a repetition of the order has the same id."""
    return order_id_of(order.customer_id, order.idempotency_key, order.fingerprint)


@dataclass(frozen=True, slots=True)
class Decline:
    """An order that the bank declined before any debit."""

    decline_id: uuid.UUID
    """UUIDv7 in the shard of the account."""
    order: InterbankTransferOrder
    reason: str
    """A name of PaymentsErrorReason."""
    decline_time: datetime


@dataclass(frozen=True, slots=True)
class FurtherDeclines:
    """A customer's declined orders in an hour beyond the recorded ones."""

    customer_id: uuid.UUID
    hour: datetime
    """The start of the hour, in UTC."""
    recorded: int
    further: int


@dataclass(frozen=True, slots=True)
class Review:
    """What a reviewer decided about a transfer in review, with the fields of its row."""

    transfer_id: uuid.UUID
    decision: str
    """A name of TransferReviewed.Decision."""
    effect: str
    """A name of TransferReviewed.Effect, or REQUESTED for a refusal that is not taken up yet."""
    reviewer: str
    """The name that the reviewer gave."""
    note: str
    decide_time: datetime
    os_user: str = ""
    """The operating-system user of the reviewer; "" if it was not recorded."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer, with the fields of its row."""

    transfer_id: uuid.UUID
    customer_id: uuid.UUID
    account_id: uuid.UUID
    amount: Money
    beneficiary: Beneficiary
    memo: str
    state: State
    version: int
    fraud_review: bool
    correlation_id: str
    traceparent: str
    create_time: datetime
    update_time: datetime
    trace_number: str = ""
    failure_reason: str = ""
    """A name of PaymentsErrorReason, or ACH_REFUSED/ and the clearing house's own code."""
    return_code: str = ""
    attempts: int = 0
    submit_time: datetime | None = None
    """When the bank learned that the clearing house had accepted it."""
    complete_time: datetime | None = None
    """When the bank learned that it had settled."""
    return_time: datetime | None = None
    """When the bank learned that it had been returned."""
    cancel_requester: Requester | None = None
    """Who requested the last cancellation; None without one, or for an old, unrecorded one."""


@dataclass(frozen=True, slots=True)
class Fact:
    """An event that happened to a transfer, with its details."""

    event: Event
    trace_number: str = ""
    reason: str = ""
    return_code: str = ""
    requester: Requester = Requester.CUSTOMER
    """Who requested the cancellation; only for CANCEL_ASKED."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice of the clearing house, its signature checked."""

    notice_id: str
    type: str
    trace_number: str
    """"" when the notice has none."""
    transfer_id: uuid.UUID | None
    """The idempotency key that the notice carries; None when it is missing or no UUID."""
    return_code: str
    content: bytes | None = None
    """The whole body of a notice of an unknown type; None for any other notice."""


@dataclass(frozen=True, slots=True)
class EventOut:
    """An event for the outbox, serialised."""

    event_id: uuid.UUID
    event_type: str
    """Full name of the event's message, such as "bp.payments.v1.TransferDebited"."""
    payload: bytes


def debited(
    order: InterbankTransferOrder, transfer_id: uuid.UUID, *, fraud_review: bool, now: datetime
) -> Transfer:
    """Return the transfer that the debit of an order creates."""
    return Transfer(
        transfer_id=transfer_id,
        customer_id=order.customer_id,
        account_id=order.account_id,
        amount=order.amount,
        beneficiary=order.beneficiary,
        memo=order.memo,
        state=TABLE.initial,
        version=1,
        fraud_review=fraud_review,
        correlation_id=order.correlation_id,
        traceparent=order.traceparent,
        create_time=now,
        update_time=now,
    )


def after(transfer: Transfer, fact: Fact, now: datetime) -> tuple[Transfer, Transition]:
    """Return the transfer after a fact, and the step that leads there; raise IllegalTransition."""
    step = transition(transfer.state, fact.event, submitted_before=transfer.trace_number != "")
    asked = fact.event is Event.CANCEL_ASKED
    moved = replace(
        transfer,
        state=step.to,
        version=transfer.version + 1,
        trace_number=fact.trace_number or transfer.trace_number,
        failure_reason=fact.reason if step.to is State.FAILED else transfer.failure_reason,
        return_code=fact.return_code if step.to is State.RETURNED else transfer.return_code,
        update_time=now,
        attempts=0,
        cancel_requester=fact.requester if asked else transfer.cancel_requester,
    )
    return _timed(moved), step


def _timed(moved: Transfer) -> Transfer:
    """Return a transfer with the time of its last step; payments.advance stores the same time."""
    now = moved.update_time
    match moved.state:
        case State.SUBMITTED:
            return replace(moved, submit_time=moved.submit_time or now)
        case State.COMPLETED:
            return replace(moved, complete_time=now)
        case State.RETURNED:
            return replace(moved, return_time=now)
        case _:
            return moved
