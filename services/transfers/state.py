"""The book transfer, and the rules that decide whether to post it. Pure.

A book transfer is posted or it does not exist, so it has one state and no table of transitions.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.kernel.errors import BankError, StepUpRequired
from services.kernel.ids import new_id, order_id_of, shard_of
from services.kernel.money import Money
from services.kernel.time_range import ANY_TIME, TimeRange
from services.transfers import errors


class State(StrEnum):
    """The state of a transfer; the names of BookTransfer.State in the contract."""

    COMPLETED = "COMPLETED"


@dataclass(frozen=True, slots=True)
class BookTransferOrder:
    """A customer's order, before anything is posted."""

    customer_id: uuid.UUID
    account_id: uuid.UUID
    destination_account_id: uuid.UUID
    amount: Money
    memo: str
    idempotency_key: str
    fingerprint: bytes
    correlation_id: str
    traceparent: str
    admit_time: datetime
    """When the bank admitted the order; the transfer's create_time."""
    former_fingerprint: bytes | None = None
    """What an earlier version stored for the same request; None if it is the same."""

    @property
    def order_id(self) -> uuid.UUID:
        """The id of the order; a repetition of the order has the same id."""
        return order_id_of(self.customer_id, self.idempotency_key, self.fingerprint)


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """What the customers service knows about an account."""

    account_id: uuid.UUID
    customer_id: uuid.UUID
    currency: str
    debitable: bool
    creditable: bool


@dataclass(frozen=True, slots=True)
class BookTransfer:
    """A transfer that is posted, or that the next statement posts."""

    transfer_id: uuid.UUID
    customer_id: uuid.UUID
    account_id: uuid.UUID
    destination_customer_id: uuid.UUID
    destination_account_id: uuid.UUID
    amount: Money
    memo: str
    create_time: datetime

    @property
    def is_to_payer(self) -> bool:
        """Whether both accounts belong to one customer."""
        return self.customer_id == self.destination_customer_id

    def concerns(self, customer_id: uuid.UUID) -> bool:
        """Return whether a customer paid or received the transfer."""
        return customer_id in (self.customer_id, self.destination_customer_id)


@dataclass(frozen=True, slots=True)
class Decline:
    """An order that the bank declined before any posting."""

    decline_id: uuid.UUID
    """UUIDv7 in the shard of the account."""
    order: BookTransferOrder
    reason: str
    """A name of TransfersErrorReason."""
    decline_time: datetime


class Direction(StrEnum):
    """Which transfers of an account a list has; names of the contract."""

    PAID = "PAID"
    RECEIVED = "RECEIVED"


@dataclass(frozen=True, slots=True)
class TransferFilter:
    """Which transfers to list."""

    account_id: uuid.UUID
    direction: Direction = Direction.PAID
    created: TimeRange = ANY_TIME


@dataclass(frozen=True, slots=True)
class EventOut:
    """An event for the outbox, serialised."""

    event_id: uuid.UUID
    payload: bytes


RECORDED: frozenset[str] = frozenset(
    {errors.AccountFrozen.reason, errors.AmountLimitExceeded.reason, StepUpRequired.reason}
)
"""Reasons of the refusals that are recorded because examiners ask for them: a control of the bank
stopped a well-formed order."""


def is_recorded(refusal: BankError) -> bool:
    """Return whether a refusal is recorded."""
    return refusal.reason in RECORDED


def require_sound(order: BookTransferOrder, minor_units_max: int) -> None:
    """Refuse an order that is invalid for any accounts; raises the classes of `errors`."""
    if order.amount.minor_units < 1:
        raise errors.AmountNotPositive
    if order.amount.minor_units > minor_units_max:
        raise errors.AmountLimitExceeded(limit_minor_units=str(minor_units_max))
    if order.account_id == order.destination_account_id:
        raise errors.SameAccount


def decide(
    order: BookTransferOrder,
    source: KnownAccount | None,
    destination: KnownAccount | None,
) -> BookTransfer:
    """Return the transfer to post, in its source account's shard; raises the classes of `errors`.

    Nothing here checks the balance: only the posting knows it, and refuses if it is too low.
    """
    if source is None:
        raise errors.AccountNotFound(account_id=str(order.account_id))
    if not source.debitable:
        raise errors.AccountFrozen(account_id=str(order.account_id))
    if destination is None or not destination.creditable:
        raise errors.DestinationNotFound(account_id=str(order.destination_account_id))
    if not source.currency == destination.currency == order.amount.currency:
        raise errors.CurrencyUnsupported(currency_code=order.amount.currency)
    return BookTransfer(
        transfer_id=new_id(shard_of(order.account_id)),
        customer_id=order.customer_id,
        account_id=order.account_id,
        destination_customer_id=destination.customer_id,
        destination_account_id=order.destination_account_id,
        amount=order.amount,
        memo=order.memo,
        create_time=order.admit_time,
    )
