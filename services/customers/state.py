"""Customers, accounts and balances. Pure.

Only the bank's staff change the state of an account, and no event does, so there is no table of
transitions.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.kernel.money import Money


class AccountState(StrEnum):
    """Whether an account may be debited and credited."""

    ACTIVE = "ACTIVE"
    FROZEN = "FROZEN"
    CLOSED = "CLOSED"


class AccountType(StrEnum):
    """The type of a deposit account."""

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
    """The balance of an account after the posting number `position`; 0 before the first."""

    account_id: uuid.UUID
    held: Money
    position: int


@dataclass(frozen=True, slots=True)
class Holding:
    """An account and its balance, read together."""

    account: Account
    balance: Balance


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """An account as its owner sees it."""

    holding: Holding
    account_number: str
    """The account number that other banks use to pay into the account."""


@dataclass(frozen=True, slots=True)
class AccountHolder:
    """What the other party of a payment may see of an account's holder."""

    name: str
    account_number_ending: str
    """The last four digits of the number; "" for a closed account."""


@dataclass(frozen=True, slots=True)
class PlannedDebit:
    """A debit of a customer's account that another service is about to post."""

    customer_id: uuid.UUID
    account_id: uuid.UUID
    destination_id: uuid.UUID | None
    """The account to credit, if it is at this bank."""


@dataclass(frozen=True, slots=True)
class CheckedDebit:
    """The accounts of a planned debit, None for one that does not exist."""

    source: Holding | None
    """The account to debit; None also when it is not the customer's."""
    destination: Account | None
    """The account to credit."""


def latest(balances: Iterable[Balance]) -> list[Balance]:
    """Return each account's balance of the highest position, in no particular order."""
    newest: dict[uuid.UUID, Balance] = {}
    for balance in balances:
        other = newest.get(balance.account_id)
        if other is None or other.position < balance.position:
            newest[balance.account_id] = balance
    return list(newest.values())
