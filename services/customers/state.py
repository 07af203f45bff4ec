"""What the service knows of customers, accounts and balances; pure.

Accounts change state by hand of the bank's staff, not by events, so there is no table of
transitions here.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.kernel.money import Money


class AccountState(StrEnum):
    """Whether an account may be used."""

    ACTIVE = "ACTIVE"
    FROZEN = "FROZEN"
    CLOSED = "CLOSED"


class AccountType(StrEnum):
    """What kind of deposit account it is."""

    CHECKING = "CHECKING"
    SAVINGS = "SAVINGS"


@dataclass(frozen=True, slots=True)
class Customer:
    """A person who holds accounts."""

    customer_id: uuid.UUID
    user_name: str
    display_name: str
    email: str
    locale: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """A deposit account."""

    account_id: uuid.UUID
    customer_id: uuid.UUID
    account_type: AccountType
    currency: str
    state: AccountState
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds after its position-th posting; position 0 before the first."""

    account_id: uuid.UUID
    held: Money
    position: int


@dataclass(frozen=True, slots=True)
class Holding:
    """An account and its balance, read together."""

    account: Account
    balance: Balance


@dataclass(frozen=True, slots=True)
class PlannedDebit:
    """A debit of a customer's account that another service is about to post."""

    customer_id: uuid.UUID
    account_id: uuid.UUID
    destination_id: uuid.UUID | None
    """The account to credit, when it is one of the bank's."""


def latest(balances: Iterable[Balance]) -> list[Balance]:
    """Return each account's balance of the highest position, in no particular order."""
    newest: dict[uuid.UUID, Balance] = {}
    for balance in balances:
        known = newest.get(balance.account_id)
        if known is None or known.position < balance.position:
            newest[balance.account_id] = balance
    return list(newest.values())
