"""Rows of the schema payments: the values that statements take and return. Pure."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.ledger import refusals as ledger_refusals
from services.payments.state import State, Transition
from services.payments.transfer import (
    Beneficiary,
    Decline,
    EventOut,
    InterbankTransferOrder,
    Notice,
    Requester,
    Transfer,
    order_id,
)


@dataclass(frozen=True, slots=True)
class StoredTransfer:
    """A stored transfer with the answer to its creation, None until there is one."""

    transfer: Transfer
    accepted_response: bytes | None


@dataclass(frozen=True, slots=True)
class Debit:
    """The outcome of a debit."""

    outcome: str
    """DEBITED, EXISTING (a replay) or REUSED (the key belongs to another payload)."""
    transfer_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class ReturnCheck:
    """A completed transfer that may have been returned late."""

    transfer: Transfer
    """The field `attempts` counts the attempts of this check."""
    settle_time: datetime


class UsedKey(NamedTuple):
    """An idempotency key that is in use."""

    transfer_id: uuid.UUID
    fingerprint: bytes
    """The digest of the payload for which it is used."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Which worker drives a transfer, and until when no other worker claims it."""

    owner: str
    until: datetime


class KeptLeases(NamedTuple):
    """Leases of a worker that it does not end. Without times, only those of `running`."""

    after: datetime | None = None
    """With `by`: it keeps leases that expire after this time and by the other one."""
    by: datetime | None = None
    running: Sequence[uuid.UUID] = ()
    """The transfers that it drives now."""


NONE_KEPT = KeptLeases()


class DebitOrder(NamedTuple):
    """A value of the type payments.debit_order: the arguments of payments.debit, in order."""

    transfer_id: uuid.UUID
    customer_id: uuid.UUID
    account_id: uuid.UUID
    amount: int
    currency: str
    beneficiary_name: str
    routing_number: str
    account_number: str
    account_type: str
    memo: str
    fraud_review: bool
    idempotency_key: str
    fingerprint: bytes
    correlation_id: str
    traceparent: str
    create_time: datetime
    lease_owner: str
    lease_until: datetime
    transaction_id: uuid.UUID
    event_id: uuid.UUID
    payload: bytes


class DeclineRow(NamedTuple):
    """A value of the type payments.decline_row: the arguments of payments.decline, in order."""

    decline_id: uuid.UUID
    customer_id: uuid.UUID
    account_id: uuid.UUID
    amount: int
    currency: str
    beneficiary_name: str
    routing_number: str
    account_number: str
    reason: str
    fraud_transaction_id: uuid.UUID
    correlation_id: str
    decline_time: datetime
    event_id: uuid.UUID
    payload: bytes
    traceparent: str


class PlainStep(NamedTuple):
    """A value of the type payments.plain_step: a step that posts nothing."""

    transfer_id: uuid.UUID
    expected_version: int
    next_state: str
    trace_number: str | None
    failure_reason: str | None
    return_code: str | None
    update_time: datetime
    lease_until: datetime
    event_id: uuid.UUID
    event_type: str
    payload: bytes
    response: bytes | None


class LeasedStep(NamedTuple):
    """A plain step, and the owner of the transfer's lease after it."""

    step: PlainStep
    lease_owner: str


def debit_order(
    order: InterbankTransferOrder, transfer: Transfer, event: EventOut, lease: Lease
) -> DebitOrder:
    """Return the arguments of payments.debit for an order."""
    beneficiary = order.beneficiary
    return DebitOrder(
        transfer_id=transfer.transfer_id,
        customer_id=order.customer_id,
        account_id=order.account_id,
        amount=order.amount.minor_units,
        currency=order.amount.currency,
        beneficiary_name=beneficiary.name,
        routing_number=beneficiary.routing_number,
        account_number=beneficiary.account_number,
        account_type=beneficiary.account_type,
        memo=order.memo,
        fraud_review=transfer.fraud_review,
        idempotency_key=order.idempotency_key,
        fingerprint=order.fingerprint,
        correlation_id=order.correlation_id,
        traceparent=order.traceparent,
        create_time=transfer.create_time,
        lease_owner=lease.owner,
        lease_until=lease.until,
        transaction_id=new_id(shard_of(order.account_id)),
        event_id=event.event_id,
        payload=event.payload,
    )


def decline_row(decline: Decline, event: EventOut) -> DeclineRow:
    """Return the arguments of payments.decline for a declined order."""
    order = decline.order
    return DeclineRow(
        decline_id=decline.decline_id,
        customer_id=order.customer_id,
        account_id=order.account_id,
        amount=order.amount.minor_units,
        currency=order.amount.currency,
        beneficiary_name=order.beneficiary.name,
        routing_number=order.beneficiary.routing_number,
        account_number=order.beneficiary.account_number,
        reason=decline.reason,
        fraud_transaction_id=order_id(order),
        correlation_id=order.correlation_id,
        decline_time=decline.decline_time,
        event_id=event.event_id,
        payload=event.payload,
        traceparent=order.traceparent,
    )


def outcome_of_debit(row: Any) -> Debit | ledger_refusals.LedgerRefusal | None:
    """Read a row of payments.debit_each; None for an order that has to be retried alone."""
    if row["outcome"] == "REFUSED":
        return ledger_refusals.refusal_of_verdict(row["refusal"])
    return debit_of_row(row) if row["outcome"] else None


def debit_of_row(row: Any) -> Debit:
    """Read a row of payments.debit."""
    existing = row["existing_transfer_id"]
    # A transfer that finds its own key was saved by its batch; only the answer was lost.
    outcome = "DEBITED" if existing == row["transfer_id"] else row["outcome"]
    return Debit(outcome, existing or row["transfer_id"])


def plain_step(
    moved: Transfer, event: EventOut, lease: Lease, response: bytes | None
) -> LeasedStep:
    """Return a step that posts nothing, as payments.advance_group takes it."""
    step = PlainStep(
        transfer_id=moved.transfer_id,
        expected_version=moved.version - 1,
        next_state=moved.state.value,
        trace_number=moved.trace_number or None,
        failure_reason=moved.failure_reason or None,
        return_code=moved.return_code or None,
        update_time=moved.update_time,
        lease_until=lease.until,
        event_id=event.event_id,
        event_type=event.event_type,
        payload=event.payload,
        response=response,
    )
    return LeasedStep(step, lease.owner)


def step_values(
    moved: Transfer,
    transition: Transition,
    event: EventOut,
    lease: Lease,
    response: bytes | None,
    notice_id: str | None,
) -> tuple[object, ...]:
    """Return the arguments of `advance` for a step of any kind."""
    return (
        moved.transfer_id,
        moved.version - 1,
        moved.state.value,
        moved.trace_number or None,
        moved.failure_reason or None,
        moved.return_code or None,
        moved.update_time,
        lease.until,
        transition.posting.name if transition.posting else None,
        new_id(shard_of(moved.transfer_id)),
        event.event_id,
        event.event_type,
        event.payload,
        transition.frees_key,
        response,
        notice_id,
        moved.cancel_requester.value if moved.cancel_requester else None,
        lease.owner,
    )


def stored_transfer(row: Any) -> StoredTransfer:
    """Read a row of payments.interbank_transfer."""
    transfer = Transfer(
        transfer_id=row["transfer_id"],
        customer_id=row["customer_id"],
        account_id=row["account_id"],
        amount=Money(row["amount"], row["currency"]),
        beneficiary=Beneficiary(
            name=row["beneficiary_name"],
            routing_number=row["routing_number"],
            account_number=row["account_number"],
            account_type=row["account_type"],
        ),
        memo=row["memo"],
        state=State(row["state"]),
        version=row["version"],
        fraud_review=row["fraud_review"],
        correlation_id=row["correlation_id"],
        traceparent=row["traceparent"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        trace_number=row["trace_number"] or "",
        failure_reason=row["failure_reason"] or "",
        return_code=row["return_code"] or "",
        attempts=row["attempts"],
        submit_time=row["submit_time"],
        complete_time=row["complete_time"],
        return_time=row["return_time"],
        cancel_requester=Requester(requester) if (requester := row["cancel_requester"]) else None,
    )
    return StoredTransfer(transfer, row["accepted_response"])


def return_check(row: Any) -> ReturnCheck:
    """Read a row of claim_return_checks."""
    return ReturnCheck(stored_transfer(row).transfer, row["settle_time"])


def notice_values(notice: Notice) -> tuple[str, str, str, uuid.UUID | None, str, bytes | None]:
    """Return the columns of payments.ach_notice in which a notice is kept."""
    return (
        notice.notice_id,
        notice.type,
        notice.trace_number,
        notice.transfer_id,
        notice.return_code,
        notice.content,
    )


def notice_of_row(row: Any) -> Notice:
    """Read a row of payments.ach_notice."""
    return Notice(
        notice_id=row["notice_id"],
        type=row["type"],
        trace_number=row["trace_number"],
        transfer_id=row["transfer_id"],
        return_code=row["return_code"],
    )
