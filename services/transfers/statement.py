"""The statement of an account: its entries, and which of them a caller asks for. Pure."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from services.kernel.money import Money
from services.kernel.time_range import ANY_TIME, TimeRange

Row = TypeVar("Row")


class EntryType(StrEnum):
    """The cause of an entry: AccountEntry.Type in the contract; except OTHER, also ledger kinds."""

    OPENING_BALANCE = "OPENING_BALANCE"
    BOOK_TRANSFER = "BOOK_TRANSFER"
    INTERBANK_DEBIT = "INTERBANK_DEBIT"
    INTERBANK_REFUND = "INTERBANK_REFUND"
    INTERBANK_RETURN = "INTERBANK_RETURN"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries of an account to list."""

    account_id: uuid.UUID
    type: EntryType | None = None
    created: TimeRange = ANY_TIME


@dataclass(frozen=True, slots=True)
class OtherParty:
    """The other party of an entry; a missing field is ""."""

    account_id: uuid.UUID | None
    """Its account at this bank, if it has one."""
    name: str = ""
    routing_number: str = ""
    account_number_ending: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """What customers returns about the holder of an account."""

    name: str
    account_number_ending: str
    """The last four digits of the account's number; "" for a closed account."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an account; `amount` is above zero for money received."""

    account_id: uuid.UUID
    position: int
    type: EntryType
    amount: Money
    balance: Money
    reference: uuid.UUID
    """The transfer, or the account for an opening balance."""
    other: OtherParty | None
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of a list whose cursor is the position of an entry."""

    rows: list[Row]
    next_below: int | None
    """The position below which the next page starts; None on the last page."""


def type_of(kind: str) -> EntryType:
    """Return the type of a ledger's kind."""
    return EntryType(kind) if kind in EntryType.__members__ else EntryType.OTHER


def accounts_of_others(entries: Iterable[Entry]) -> set[uuid.UUID]:
    """Return this bank's accounts that are the other party of an entry."""
    return {
        entry.other.account_id
        for entry in entries
        if entry.other is not None and entry.other.account_id is not None
    }


def named(entry: Entry, holders: Mapping[uuid.UUID, Holder]) -> Entry:
    """Return the entry with the name of its other party, if that is a known account of this bank.

    A payer needs the last digits of the number to recognise the account that it paid. A payee sees
    only the payer's name.
    """
    other = entry.other
    holder = holders.get(other.account_id) if other and other.account_id else None
    if other is None or holder is None:
        return entry
    paid = entry.amount.minor_units < 0
    ending = holder.account_number_ending if paid else ""
    return replace(entry, other=replace(other, name=holder.name, account_number_ending=ending))


def page_of(found: list[tuple[int, Row]], rows: int, above: int, floor: int) -> Page[Row]:
    """Return the page of a read of up to `rows` + 1 entries above `floor`, newest first.

    Each row comes with its position. `above` is the position below the list's oldest entry, so
    `floor` equals it when the read saw the list's end.
    """
    if len(found) > rows:
        return Page([row for _, row in found[:rows]], found[rows - 1][0])
    return Page([row for _, row in found], floor + 1 if floor > above else None)
