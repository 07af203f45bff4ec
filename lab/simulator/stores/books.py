"""The ledger's rules in memory, with the refusals in the order of ledger.post and its shortcuts.

A test sends the same random postings to this module and to the SQL functions, and compares every
refusal, balance and position. Therefore a proof for this module also holds for the SQL functions.
"""

import uuid
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from lab.simulator.stores.database import Database, Row, refused
from services.kernel.ids import shard_of

INTERNAL = ("ACH_CLEARING", "SETTLEMENT", "FEES", "FUNDING", "RETURNS", "SUSPENSE")
AMOUNT_MAX = 1_000_000_000_000_000
LEGS_MAX = 32


class Account(NamedTuple):
    """A customer's account."""

    currency: str
    balance: int
    position: int


class Leg(NamedTuple):
    """One line of a posting: a signed amount on an account of a customer or of the bank."""

    account_id: uuid.UUID | None
    internal_code: str | None
    currency: str
    amount: int
    """Positive amounts are credits, negative ones debits."""


class BooksWatch(Protocol):
    """Receives opening balances immediately, and postings after their commit."""

    def opened(self, amount: int) -> None:
        """Handle an opening balance."""
        ...

    def posted(self, kind: str, reference: uuid.UUID, legs: Sequence[Leg]) -> None:
        """Handle a posted transaction."""
        ...

    def moved(self, account_id: uuid.UUID, before: int, after: int) -> None:
        """Handle a change of a customer's balance."""
        ...


class Books:
    """Accounts, the bank's own balances, and the ids of posted transactions."""

    def __init__(self, database: Database, watch: BooksWatch) -> None:
        self._database = database
        self._watch = watch
        self.accounts: dict[uuid.UUID, Account] = {}
        self.internal: dict[tuple[str, str], int] = {}
        """(code, currency) -> balance over all shards."""
        self._posted: dict[uuid.UUID, bool] = {}

    def seed(self, account_id: uuid.UUID, currency: str, amount: int) -> None:
        """Open an account with money out of FUNDING, as ledger.seed_accounts does."""
        self.accounts[account_id] = Account(currency, amount, 1 if amount else 0)
        funding = ("FUNDING", currency)
        self.internal[funding] = self.internal.get(funding, 0) - amount
        self._watch.opened(amount)

    def post(
        self, transaction_id: uuid.UUID, kind: str, reference: uuid.UUID, legs: Sequence[Leg]
    ) -> list[Row]:
        """Post legs. Return the new balance of each customer account. Raises the same errors as
        PostgreSQL."""
        require_transaction_id(transaction_id, legs[0].account_id if legs else None)
        require_legs(legs)
        return self._enter(transaction_id, kind, reference, legs)

    def debit_to_internal(
        self,
        transaction_id: uuid.UUID,
        kind: str,
        reference: uuid.UUID,
        held: tuple[uuid.UUID, str, int],
        code: str,
    ) -> list[Row]:
        """Debit a customer (account, currency, amount) and credit an internal account."""
        account_id, currency, amount = held
        require_amount(amount)
        return self._pair(transaction_id, kind, reference, (account_id, currency, -amount), code)

    def credit_from_internal(
        self,
        transaction_id: uuid.UUID,
        kind: str,
        reference: uuid.UUID,
        held: tuple[uuid.UUID, str, int],
        code: str,
    ) -> list[Row]:
        """Credit a customer (account, currency, amount) and debit an internal account."""
        _, _, amount = held
        require_amount(amount)
        return self._pair(transaction_id, kind, reference, held, code)

    def _pair(
        self,
        transaction_id: uuid.UUID,
        kind: str,
        reference: uuid.UUID,
        held: tuple[uuid.UUID, str, int],
        code: str,
    ) -> list[Row]:
        account_id, currency, amount = held
        require_transaction_id(transaction_id, account_id)
        require_internal(code)
        legs = (Leg(account_id, None, currency, amount), Leg(None, code, currency, -amount))
        return self._enter(transaction_id, kind, reference, legs)

    def _enter(
        self, transaction_id: uuid.UUID, kind: str, reference: uuid.UUID, legs: Sequence[Leg]
    ) -> list[Row]:
        left: dict[uuid.UUID, Row] = {}
        for leg in legs:
            if leg.account_id is not None:
                left.pop(leg.account_id, None)
                left[leg.account_id] = self._move(transaction_id, leg.account_id, leg)
            else:
                own = (leg.internal_code or "", leg.currency)
                self._database.put(self.internal, own, self.internal.get(own, 0) + leg.amount)
        if transaction_id in self._posted:
            raise refused("BP004", "already posted")
        self._database.put(self._posted, transaction_id, True)
        self._database.tell(self._watch.posted, kind, reference, legs)
        return list(left.values())

    def _move(self, transaction_id: uuid.UUID, account_id: uuid.UUID, leg: Leg) -> Row:
        held = self.accounts.get(account_id)
        if held is None or held.currency != leg.currency or not self.covers(held, leg.amount):
            raise self._refusal(transaction_id, held, leg)
        after = Account(held.currency, held.balance + leg.amount, held.position + 1)
        self._database.put(self.accounts, account_id, after)
        self._database.tell(self._watch.moved, account_id, held.balance, after.balance)
        return {
            "account_id": account_id,
            "currency": after.currency,
            "balance": after.balance,
            "position": after.position,
        }

    @staticmethod
    def covers(held: Account, amount: int) -> bool:
        """Return whether an account stays at zero or above after a signed amount."""
        return held.balance + amount >= 0

    def _refusal(self, transaction_id: uuid.UUID, held: Account | None, leg: Leg) -> Exception:
        if transaction_id in self._posted:
            return refused("BP004", "already posted")
        if held is None:
            return refused("BP002", "not open")
        if held.currency != leg.currency:
            return refused("BP003", "another currency")
        return refused("BP001", "does not hold the amount")


def require_transaction_id(transaction_id: uuid.UUID, first: uuid.UUID | None) -> None:
    """Refuse an id that is not a UUIDv7 or is not in the shard of the first account."""
    if transaction_id.version != 7:
        raise refused("BP007", "not a UUIDv7")
    if first is not None and shard_of(transaction_id) != shard_of(first):
        raise refused("BP007", "another shard")


def require_legs(legs: Sequence[Leg]) -> None:
    """Refuse legs that are malformed or do not sum to zero in each currency."""
    if not 2 <= len(legs) <= LEGS_MAX:
        raise refused("BP006", "2 to 32 legs")
    sums: dict[str, int] = {}
    for leg in legs:
        if leg.amount == 0 or abs(leg.amount) > AMOUNT_MAX:
            raise refused("BP006", "an amount above zero")
        if (leg.account_id is None) == (leg.internal_code is None):
            raise refused("BP006", "one account")
        if leg.internal_code is not None:
            require_internal(leg.internal_code)
        sums[leg.currency] = sums.get(leg.currency, 0) + leg.amount
    if any(sums.values()):
        raise refused("BP005", "off")


def require_internal(code: str) -> None:
    """Refuse an internal account that does not exist in the books."""
    if code not in INTERNAL:
        raise refused("BP009", "no such internal account")


def require_amount(amount: int) -> None:
    """Refuse an amount that is not positive or exceeds the limit of a leg."""
    if not 1 <= amount <= AMOUNT_MAX:
        raise refused("BP006", "an amount above zero")
