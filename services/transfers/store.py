"""Book transfers in PostgreSQL: one prepared statement for each question."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from services.chassis.batching import DEFAULT_BATCH_LIMITS, Batcher, BatchLimits
from services.chassis.postgres import load_queries
from services.kernel.errors import IdempotencyKeyReused
from services.kernel.ids import shard_of
from services.kernel.money import Money
from services.ledger import refusals as ledger_refusals
from services.transfers.errors import InsufficientFunds
from services.transfers.state import BookTransfer

_LAST = uuid.UUID(int=(1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes a request the same as another: who, which key, and a digest of the payload."""

    customer_id: uuid.UUID
    idempotency_key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class EventOut:
    """An event for the outbox."""

    event_id: uuid.UUID
    payload: bytes
    traceparent: str | None


Row = tuple[Any, ...]
"""The arguments of transfers.post_book_transfer, or one row of transfers.request."""

_TRANSFER_ID = 3


class Store:
    """The schema `transfers` of the Write DB."""

    def __init__(self, pool: asyncpg.Pool, limits: BatchLimits = DEFAULT_BATCH_LIMITS) -> None:
        self._pool = pool
        self._sql = load_queries(Path(__file__).with_name("sql") / "queries.sql")
        self._posts = Batcher(self._post_each, limits)

    async def post(
        self, key: RequestKey, transfer: BookTransfer, response: bytes, event: EventOut
    ) -> bytes:
        """Post a transfer and return `response`, or the stored one if the key made one before.

        Raises InsufficientFunds and IdempotencyKeyReused; neither leaves a trace.
        """
        request = _request(key, transfer, response, event)
        try:
            row = await self._posted(request)
        except ledger_refusals.InsufficientFunds as refusal:
            raise InsufficientFunds(account_id=str(transfer.account_id)) from refusal
        answer = _answer(row)
        return response if answer is None else answer

    async def _posted(self, request: Row) -> Any:
        """Post with what else comes; return verdict and response, or raise a refusal."""
        try:
            row = await self._posts.submit(request)
        except asyncpg.PostgresError:
            # Something held up or broke the group: each goes alone, so none suffers for another.
            row = None
        if row is None or row["verdict"] is None:
            with ledger_refusals.refusals():
                return await self._pool.fetchrow(self._sql.post_book_transfer, *request)
        if row["verdict"] == "REFUSED":
            raise ledger_refusals.refusal_of_verdict(row["refusal"])
        return row

    async def _post_each(self, requests: Sequence[Row]) -> list[Any]:
        """Post what can be posted; return the verdict on each."""
        found: list[Any] = await self._pool.fetch(self._sql.post_book_transfers, requests)
        verdicts = {row["transfer_id"]: row for row in found}
        return [verdicts[request[_TRANSFER_ID]] for request in requests]

    async def replay(self, key: RequestKey) -> bytes | None:
        """Return the stored answer of a key; None if it made nothing; IdempotencyKeyReused."""
        row = await self._pool.fetchrow(
            self._sql.replay, key.customer_id, key.idempotency_key, key.fingerprint
        )
        return _answer(row)

    async def transfer(self, transfer_id: uuid.UUID) -> BookTransfer | None:
        """Return a transfer by id."""
        row = await self._pool.fetchrow(self._sql.transfer, shard_of(transfer_id), transfer_id)
        return None if row is None else _transfer(row)

    async def transfers(
        self, account_id: uuid.UUID, cursor: uuid.UUID | None, rows: int
    ) -> list[BookTransfer]:
        """Return up to `rows` transfers that an account paid, newest first."""
        found = await self._pool.fetch(
            self._sql.transfers, shard_of(account_id), account_id, cursor or _LAST, rows
        )
        return [_transfer(row) for row in found]

    async def ensure_partitions(self) -> None:
        """Make the partitions of the coming months."""
        await self._pool.execute(self._sql.ensure_partitions)


def _request(key: RequestKey, transfer: BookTransfer, response: bytes, event: EventOut) -> Row:
    return (
        key.customer_id,
        key.idempotency_key,
        key.fingerprint,
        transfer.transfer_id,
        transfer.account_id,
        transfer.destination_customer_id,
        transfer.destination_account_id,
        transfer.amount.currency,
        transfer.amount.minor_units,
        transfer.memo,
        transfer.create_time,
        response,
        event.event_id,
        event.payload,
        event.traceparent,
    )


def _answer(row: asyncpg.Record | None) -> bytes | None:
    if row is None or row["verdict"] is None:
        return None
    if row["verdict"] == "REUSED":
        raise IdempotencyKeyReused
    return row["response"]


def _transfer(row: asyncpg.Record) -> BookTransfer:
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
