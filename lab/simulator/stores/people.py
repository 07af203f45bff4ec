"""The bank's customers, their accounts, and the frozen accounts.

The world opens all accounts before the first operation. Nothing is opened or frozen later.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from lab.simulator.stores.books import Books

PEOPLE = 24
POOR = 6
"""The first customers hold little money and often ask for more than they have."""

CENTS_OF_THE_POOR = (2_000, 100_000)
CENTS = 5_000_000


@dataclass(frozen=True, slots=True)
class Person:
    """A customer with accounts."""

    customer_id: uuid.UUID
    accounts: tuple[uuid.UUID, ...]


class People:
    """All customers, the owner of each account, and the frozen accounts."""

    def __init__(self, books: Books, new_id: Callable[..., uuid.UUID]) -> None:
        self._books = books
        self.all: list[Person] = []
        self.owner: dict[uuid.UUID, uuid.UUID] = {}
        """Account -> customer."""
        for number in range(PEOPLE):
            shard = number * 7 % 64
            person = Person(new_id(shard), (new_id(shard), new_id(shard)))
            self.all.append(person)
            self._open_accounts(person, CENTS_OF_THE_POOR if number < POOR else (CENTS, CENTS))
        self.frozen = frozenset({self.all[-1].accounts[1]})

    def _open_accounts(self, person: Person, cents: tuple[int, int]) -> None:
        for account_id, amount in zip(person.accounts, cents, strict=True):
            self.owner[account_id] = person.customer_id
            self._books.seed(account_id, "USD", amount)
