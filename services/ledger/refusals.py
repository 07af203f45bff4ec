"""The refusals of the ledger as exceptions: one class for each SQLSTATE of class BP.

A service wraps statements that post, also its own SQL functions, in `refusals()` and catches the
classes. No other module reads an SQLSTATE of the ledger.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

import asyncpg


class LedgerRefusal(Exception):
    """The ledger refused the posting, and nothing changed."""

    sqlstate: ClassVar[str] = ""
    reason: ClassVar[str] = "LEDGER_REFUSAL"


class InsufficientFunds(LedgerRefusal):
    """The account's balance is too low. Add funds or post a smaller amount."""

    sqlstate = "BP001"
    reason = "INSUFFICIENT_FUNDS"


class AccountUnknown(LedgerRefusal):
    """The account is not open in the ledger. Open it first."""

    sqlstate = "BP002"
    reason = "ACCOUNT_UNKNOWN"


class CurrencyMismatch(LedgerRefusal):
    """The account has another currency. Post in the currency of the account."""

    sqlstate = "BP003"
    reason = "CURRENCY_MISMATCH"


class DuplicateTransaction(LedgerRefusal):
    """A transaction with this id is already posted. Do not post it again."""

    sqlstate = "BP004"
    reason = "DUPLICATE_TRANSACTION"


class Unbalanced(LedgerRefusal):
    """The legs do not sum to zero in each currency. Correct the calling code."""

    sqlstate = "BP005"
    reason = "UNBALANCED"


class LegInvalid(LedgerRefusal):
    """A leg needs a side, a currency, one account and an amount above zero. Correct the caller."""

    sqlstate = "BP006"
    reason = "LEG_INVALID"


class TransactionIdInvalid(LedgerRefusal):
    """The id must be a UUIDv7, in its first account's shard and in a month with a partition."""

    sqlstate = "BP007"
    reason = "TRANSACTION_ID_INVALID"


class AppendOnly(LedgerRefusal):
    """Entries cannot be changed or removed. Post a transaction that reverses the wrong one."""

    sqlstate = "BP008"
    reason = "APPEND_ONLY"


class InternalAccountUnknown(LedgerRefusal):
    """The internal code is not in ledger.internal_account. Correct the calling code."""

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
    """Return the refusal for an error of PostgreSQL, or None if the error is no refusal."""
    refusal = _BY_SQLSTATE.get(str(getattr(error, "sqlstate", "")))
    if refusal is not None:
        return refusal(str(error))
    # PostgreSQL itself reports an id without a partition, with its own SQLSTATE.
    if isinstance(error, asyncpg.CheckViolationError) and "no partition of relation" in str(error):
        return TransactionIdInvalid(str(error))
    return None


def refusal_of_verdict(sqlstate: str) -> LedgerRefusal:
    """Return the refusal for an SQLSTATE in a result of ledger.post_group."""
    return _BY_SQLSTATE[sqlstate](f"refused with {sqlstate}")


@contextmanager
def refusals() -> Generator[None]:
    """Raise the ledger's refusals as their classes; other errors pass unchanged."""
    try:
        yield
    except asyncpg.PostgresError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error
