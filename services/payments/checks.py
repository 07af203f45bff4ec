"""Step 1 of the saga: decides whether an order may be debited. Pure; each refusal has its error.

The answers of customers and the fraud service are arguments. Nothing here checks the balance: the
projection may lag behind a credit, and only the debit itself knows what the account holds.
"""

from dataclasses import dataclass
from enum import Enum

from services.kernel.errors import BankError, FieldViolation, InvalidArgument, StepUpRequired
from services.kernel.money import CURRENCY
from services.nacha import routing_number
from services.nacha.line_text import line_text
from services.payments import errors
from services.payments.transfer import InterbankTransferOrder

NAME_CHARS_MAX = 22
"""Width of the name in a Nacha entry."""

MEMO_CHARS_MAX = 80
"""Width of the payment information in a Nacha addenda record."""


class Decision(Enum):
    """The fraud service's decision; UNAVAILABLE without an answer."""

    APPROVE = "APPROVE"
    REVIEW = "REVIEW"
    DECLINE = "DECLINE"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Score:
    """The decision and its score, from 0 to 1000."""

    decision: Decision
    score: int = 0


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the customers service knows about the account to debit."""

    exists: bool
    active: bool
    currency: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest amounts that the bank accepts, in minor units."""

    transfer_max: int
    """For one transfer."""
    unscored_max: int
    """For one transfer while the fraud service is unavailable."""


def refuse_order(
    order: InterbankTransferOrder, limits: Limits, own_routing_number: str
) -> BankError | None:
    """Return the error in the order itself, or None; needs no other service."""
    if order.amount.minor_units <= 0:
        return errors.AmountNotPositive()
    if order.amount.minor_units > limits.transfer_max:
        return errors.AmountLimitExceeded(limit_minor_units=str(limits.transfer_max))
    if order.amount.currency != CURRENCY:
        return errors.CurrencyUnsupported()
    if not routing_number.is_valid(order.beneficiary.routing_number):
        return errors.InvalidRoutingNumber()
    if order.beneficiary.routing_number == own_routing_number:
        return errors.OwnRoutingNumber()
    return _refuse_texts(order)


def _refuse_texts(order: InterbankTransferOrder) -> BankError | None:
    """Return the error of a name or memo that a Nacha record cannot hold, or None."""
    texts = {
        "beneficiary.name": (order.beneficiary.name, NAME_CHARS_MAX),
        "memo": (order.memo, MEMO_CHARS_MAX),
    }
    violations = [
        FieldViolation(
            field,
            f"an ACH entry cannot carry this text; use up to {chars_max} Latin letters, digits and"
            " common punctuation",
        )
        for field, (text, chars_max) in texts.items()
        if (line := line_text(text)) is None or len(line) > chars_max
    ]
    return InvalidArgument(*violations) if violations else None


def refuse_facts(
    order: InterbankTransferOrder,
    account: AccountFacts,
    score: Score,
    *,
    takes_part: bool,
    limits: Limits,
) -> BankError | None:
    """Return the error that follows from the facts, or None."""
    if not account.exists:
        return errors.AccountNotFound()
    if not account.active:
        return errors.AccountFrozen()
    if account.currency != order.amount.currency:
        return errors.CurrencyUnsupported()
    if not takes_part:
        return errors.UnknownRoutingNumber()
    return _refuse_score(order, score, limits)


def _refuse_score(order: InterbankTransferOrder, score: Score, limits: Limits) -> BankError | None:
    if score.decision is Decision.DECLINE:
        return errors.FraudDeclined()
    unscored = score.decision is Decision.UNAVAILABLE
    if unscored and order.amount.minor_units > limits.unscored_max:
        return errors.FraudCheckUnavailable()
    return None


RECORDED: frozenset[str] = frozenset(
    {
        errors.AccountFrozen.reason,
        errors.AmountLimitExceeded.reason,
        errors.FraudDeclined.reason,
        StepUpRequired.reason,
    }
)
"""Reasons of the refusals that are recorded because examiners ask for them: a control of the bank
stopped a well-formed order. Other refusals result from a caller's mistake (a malformed order, an
unknown account or bank), the balance, or an unavailable service; recording them would say nothing
about the bank's controls."""


def is_recorded(refusal: BankError) -> bool:
    """Return whether a refusal is kept on record."""
    return refusal.reason in RECORDED


def needs_review(score: Score) -> bool:
    """Return whether a person must review the transfer later."""
    return score.decision is not Decision.APPROVE
