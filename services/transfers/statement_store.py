"""Reads the statement of an account from the Write DB, with sql/statement.sql."""

import uuid
from pathlib import Path
from typing import Any

import asyncpg

from services.chassis.postgres import load_queries
from services.kernel.money import Money
from services.transfers.state import BookTransfer, TransferFilter
from services.transfers.statement import (
    Entry,
    EntryFilter,
    EntryType,
    OtherParty,
    Page,
    page_of,
    type_of,
)

_NEWEST = 2**63 - 1
"""A position above all others."""


class StatementStore:
    """The books, as far as an account's statement shows them."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._sql = load_queries(Path(__file__).with_name("sql") / "statement.sql")

    async def entries(self, wanted: EntryFilter, *, below: int | None, rows: int) -> Page[Entry]:
        """Return up to `rows` entries below a position, None for the newest, newest first."""
        found: list[Any] = await self._pool.fetch(
            self._sql.entries,
            wanted.account_id,
            wanted.created.time_from,
            wanted.created.time_to,
            below or _NEWEST,
            rows + 1,
            [wanted.type.value] if wanted.type else None,
        )
        # A page without entries has one row, with the bounds of the read.
        entries = [
            (row["position"], _entry(wanted.account_id, row))
            for row in found
            if row["position"] is not None
        ]
        return page_of(entries, rows, found[0]["above"], found[0]["floor"])

    async def received(
        self, wanted: TransferFilter, *, below: int | None, rows: int
    ) -> Page[BookTransfer]:
        """Return up to `rows` transfers that an account received, newest first.

        They are read from the account's entries below a position, None for the newest.
        """
        found: list[Any] = await self._pool.fetch(
            self._sql.received,
            wanted.account_id,
            wanted.created.time_from,
            wanted.created.time_to,
            below or _NEWEST,
            rows + 1,
        )
        transfers = [
            (row["position"], book_transfer(row)) for row in found if row["position"] is not None
        ]
        return page_of(transfers, rows, found[0]["above"], found[0]["floor"])


def _entry(account_id: uuid.UUID, row: Any) -> Entry:
    currency = row["currency"]
    return Entry(
        account_id=account_id,
        position=row["position"],
        type=type_of(row["kind"]),
        amount=Money(row["amount"], currency),
        balance=Money(row["balance_after"], currency),
        reference=row["reference"],
        other=_other_party(account_id, row),
        create_time=row["post_time"],
    )


def _other_party(account_id: uuid.UUID, row: Any) -> OtherParty | None:
    if type_of(row["kind"]) is EntryType.BOOK_TRANSFER:
        payer, payee = row["payer_account_id"], row["destination_account_id"]
        return OtherParty(payee if payer == account_id else payer)
    if row["name"] is None:
        return None
    return OtherParty(None, row["name"], row["routing_number"], row["account_number_ending"])


def book_transfer(row: Any) -> BookTransfer:
    """Read a row of transfers.book_transfer."""
    return BookTransfer(
        transfer_id=row["transfer_id"],
        customer_id=row["customer_id"],
        account_id=row["account_id"],
        destination_customer_id=row["destination_customer_id"],
        destination_account_id=row["destination_account_id"],
        amount=Money(row["amount"], row["currency"]),
        memo=row["memo"],
        create_time=row["create_time"],
    )
