"""What the ledger refuses, as exceptions: one class per SQLSTATE of class BP.

A service wraps the statements that post, its own SQL functions included, in `refusals()` and
catches the classes; no other place reads an SQLSTATE of the ledger.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

import asyncpg


class LedgerRefusal(Exception):
    """The ledger refused and nothing changed."""

    sqlstate: ClassVar[str] = ""
    reason: ClassVar[str] = "LEDGER_REFUSAL"


class InsufficientFunds(LedgerRefusal):
    """The account does not hold the amount. Fund it, or ask for less."""

    sqlstate = "BP001"
    reason = "INSUFFICIENT_FUNDS"


class AccountUnknown(LedgerRefusal):
    """The account is not open in the ledger. Open it first."""

    sqlstate = "BP002"
    reason = "ACCOUNT_UNKNOWN"


class CurrencyMismatch(LedgerRefusal):
    """The account holds another currency. Post in the account's own."""

    sqlstate = "BP003"
    reason = "CURRENCY_MISMATCH"


class DuplicateTransaction(LedgerRefusal):
    """A transaction of this id is posted already. What it moved stands; do not post again."""

    sqlstate = "BP004"
    reason = "DUPLICATE_TRANSACTION"


class Unbalanced(LedgerRefusal):
    """The legs do not sum to zero in each currency. Correct the caller."""

    sqlstate = "BP005"
    reason = "UNBALANCED"


class LegInvalid(LedgerRefusal):
    """A leg lacks a side, a currency, one account or an amount above zero. Correct the caller."""

    sqlstate = "BP006"
    reason = "LEG_INVALID"


class TransactionIdInvalid(LedgerRefusal):
    """The id is not a UUIDv7 in its first account's shard and in a month with a partition."""

    sqlstate = "BP007"
    reason = "TRANSACTION_ID_INVALID"


class AppendOnly(LedgerRefusal):
    """Entries are never changed or removed. Post a transaction that reverses the wrong one."""

    sqlstate = "BP008"
    reason = "APPEND_ONLY"


class InternalAccountUnknown(LedgerRefusal):
    """The internal code is not in ledger.internal_account. Correct the caller."""

    sqlstate = "BP009"
    reason = "INTERNAL_ACCOUNT_UNKNOWN"


ALL: tuple[type[LedgerRefusal], ...] = (
    InsufficientFunds,
    AccountUnknown,
    CurrencyMismatch,
    DuplicateTransaction,
    Unbalanced,
    LegInvalid,
    TransactionIdInvalid,
    AppendOnly,
    InternalAccountUnknown,
)

_BY_SQLSTATE = {refusal.sqlstate: refusal for refusal in ALL}


def refusal_of(error: asyncpg.PostgresError) -> LedgerRefusal | None:
    """Return the refusal that an error of PostgreSQL stands for, or None if it is another's."""
    refusal = _BY_SQLSTATE.get(str(getattr(error, "sqlstate", "")))
    if refusal is not None:
        return refusal(str(error))
    # PostgreSQL itself notices that no partition takes the id, with its own SQLSTATE.
    if isinstance(error, asyncpg.CheckViolationError) and "no partition of relation" in str(error):
        return TransactionIdInvalid(str(error))
    return None


def refusal_of_verdict(sqlstate: str) -> LedgerRefusal:
    """Return the refusal that ledger.post_group gives as data."""
    return _BY_SQLSTATE[sqlstate](f"refused with {sqlstate}")


@contextmanager
def refusals() -> Generator[None]:
    """Raise the ledger's refusals as their classes; let every other error pass."""
    try:
        yield
    except asyncpg.PostgresError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error
