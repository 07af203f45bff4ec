"""Book transfers in PostgreSQL: each method runs one statement of sql/queries.sql."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from services.chassis.batching import DEFAULT_BATCH_LIMITS, Batcher, BatchLimits
from services.chassis.declines import RECORDED_PER_HOUR_MAX, DeclineRecorder
from services.chassis.lone_calls import LoneCalls
from services.chassis.postgres import load_queries
from services.kernel.errors import AccountBusy, IdempotencyKeyReused
from services.kernel.ids import shard_of
from services.ledger import refusals as ledger_refusals
from services.ledger.held_orders import HELD, HeldOrders
from services.ledger.holds import Holds, Key, Locks
from services.transfers.beneficiaries import BeneficiaryStore
from services.transfers.errors import InsufficientFunds
from services.transfers.state import (
    BookTransfer,
    BookTransferOrder,
    Decline,
    EventOut,
    TransferFilter,
)
from services.transfers.statement_store import StatementStore, book_transfer

ALONE_MAX = 2
"""The largest number of requests that are posted alone at once, each on a connection of its own."""

_LAST = uuid.UUID(int=(1 << 128) - 1)


class Request(NamedTuple):
    """A value of the type transfers.request: the arguments of transfers.post_book_transfer."""

    customer_id: uuid.UUID
    idempotency_key: str
    fingerprint: bytes
    transfer_id: uuid.UUID
    account_id: uuid.UUID
    destination_customer_id: uuid.UUID
    destination_account_id: uuid.UUID
    currency: str
    amount: int
    memo: str
    create_time: datetime
    response: bytes
    event_id: uuid.UUID
    event_payload: bytes
    traceparent: str | None


class DeclineRow(NamedTuple):
    """A value of the type transfers.decline_row: an order for transfers.decline_group."""

    decline_id: uuid.UUID
    customer_id: uuid.UUID
    account_id: uuid.UUID
    destination_account_id: uuid.UUID
    amount: int
    currency: str
    reason: str
    order_id: uuid.UUID
    correlation_id: str
    decline_time: datetime
    event_id: uuid.UUID
    payload: bytes
    traceparent: str | None


KEYS_MAX = 1_000
"""The largest number of transfers whose keys one statement forgets."""


class Posted(NamedTuple):
    """The answer to a posted transfer."""

    response: bytes
    is_new: bool
    """Whether this call posted it; otherwise an earlier one with the same key did."""


class Store:
    """The schema `transfers` of the Write DB."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        limits: BatchLimits = DEFAULT_BATCH_LIMITS,
        declines_per_hour_max: int = RECORDED_PER_HOUR_MAX,
    ) -> None:
        self.statement = StatementStore(pool)
        self._pool = pool
        self._sql = load_queries(Path(__file__).with_name("sql") / "queries.sql")
        self.beneficiaries = BeneficiaryStore(pool, self._sql, limits)
        self._posts = Batcher(self._post_each, limits)
        holds = Holds(pool, self._sql.held_keys)
        self._held = HeldOrders(holds, self._post_each, _locks_of, limits.items_max)
        self._alone = LoneCalls(ALONE_MAX)
        self._declines: DeclineRecorder[DeclineRow] = DeclineRecorder(
            pool, self._sql.decline_group, limits, declines_per_hour_max
        )

    async def post(
        self, order: BookTransferOrder, transfer: BookTransfer, response: bytes, event: EventOut
    ) -> Posted:
        """Post a transfer and return `response`, or the stored answer if the key has a transfer.

        Raises InsufficientFunds and IdempotencyKeyReused; a refused request writes nothing.
        """
        request = _request(order, transfer, response, event)
        try:
            row = await self._post_request(request)
        except ledger_refusals.InsufficientFunds as refusal:
            raise InsufficientFunds(account_id=str(transfer.account_id)) from refusal
        answer = _answer(row)
        return Posted(response, is_new=True) if answer is None else answer

    async def _post_request(self, request: Request) -> Any:
        """Post in a batch, or alone if it fails; return verdict and response or raise a refusal."""
        try:
            row = await self._post_in_a_batch(request)
        except asyncpg.PostgresError:
            # An error fails the whole batch. Each request is then retried alone, so that one
            # request cannot fail the others.
            row = None
        if row is None or row["verdict"] is None:
            return await self._post_alone(request)
        if row["verdict"] == "REFUSED":
            raise ledger_refusals.refusal_of_verdict(row["refusal"])
        return row

    async def _post_in_a_batch(self, request: Request) -> Any:
        """Post in the next batch, or with requests that wait for rows held by another session."""
        if not self._held.remembers(request):
            with suppress(HELD):
                return await self._posts.submit(request)
        return await self._held.submit(request)

    async def _post_each(self, requests: Sequence[Request]) -> list[Any]:
        """Post the requests that can be posted; return a row with the verdict on each."""
        rows: list[Any] = await self._pool.fetch(self._sql.post_book_transfers, requests)
        verdicts = {row["transfer_id"]: row for row in rows}
        return [verdicts.get(request.transfer_id) for request in requests]

    async def _post_alone(self, request: Request) -> Any:
        """Post a request in a separate transaction; raise AccountBusy if an account is held.

        Requests of the same account wait for each other; the others do not wait.
        """
        async with self._alone.turn(request.account_id):
            try:
                with ledger_refusals.refusals():
                    return await self._pool.fetchrow(self._sql.post_book_transfer, *request)
            except HELD as error:
                raise AccountBusy from error

    async def decline(self, decline: Decline, event: EventOut) -> bool:
        """Record a declined order and write its event; return whether it got a separate record.

        Repetitions, and orders beyond the limit of a customer and hour, get no separate record.
        """
        return await self._declines.record(_decline_row(decline, event))

    async def drop_old_declines(self) -> None:
        """Drop the declined orders that are older than the bank's retention period."""
        await self._pool.execute(self._sql.drop_old_declines)

    async def replay(self, order: BookTransferOrder) -> Posted | None:
        """Return the stored answer of an order's key, or None; raise IdempotencyKeyReused."""
        row = await self._replay(order, order.fingerprint)
        if row["verdict"] == "REUSED" and order.former_fingerprint is not None:
            row = await self._replay(order, order.former_fingerprint)
        return _answer(row)

    async def _replay(self, order: BookTransferOrder, fingerprint: bytes) -> Any:
        """Return the verdict on a fingerprint, NULL for a free key, and the stored answer."""
        return await self._pool.fetchrow(
            self._sql.replay, order.customer_id, order.idempotency_key, fingerprint
        )

    async def transfer(self, transfer_id: uuid.UUID) -> BookTransfer | None:
        """Return a transfer, or None."""
        row = await self._pool.fetchrow(self._sql.transfer, shard_of(transfer_id), transfer_id)
        return None if row is None else book_transfer(row)

    async def transfers_of_account(
        self, wanted: TransferFilter, *, cursor: uuid.UUID | None, rows: int
    ) -> list[BookTransfer]:
        """Return up to `rows` transfers that an account paid, older than `cursor`, newest first."""
        found = await self._pool.fetch(
            self._sql.transfers_of_account,
            shard_of(wanted.account_id),
            wanted.account_id,
            min(cursor or _LAST, wanted.created.end_id),
            rows,
            wanted.created.first_id,
            wanted.created.start,
            wanted.created.end,
        )
        return [book_transfer(row) for row in found]

    async def ensure_partitions(self) -> None:
        """Create the partitions of the coming months."""
        await self._pool.execute(self._sql.ensure_partitions)

    async def forget_keys(self) -> None:
        """Delete, in batches, the idempotency keys that the bank no longer honours."""
        while await self._pool.fetchval(self._sql.forget_keys, KEYS_MAX) >= KEYS_MAX:
            pass


def _locks_of(request: Request) -> Locks:
    accounts = (request.account_id, request.destination_account_id)
    return Locks(accounts, Key(request.customer_id, request.idempotency_key))


def _request(
    order: BookTransferOrder, transfer: BookTransfer, response: bytes, event: EventOut
) -> Request:
    return Request(
        customer_id=order.customer_id,
        idempotency_key=order.idempotency_key,
        fingerprint=order.fingerprint,
        transfer_id=transfer.transfer_id,
        account_id=transfer.account_id,
        destination_customer_id=transfer.destination_customer_id,
        destination_account_id=transfer.destination_account_id,
        currency=transfer.amount.currency,
        amount=transfer.amount.minor_units,
        memo=transfer.memo,
        create_time=transfer.create_time,
        response=response,
        event_id=event.event_id,
        event_payload=event.payload,
        traceparent=order.traceparent or None,
    )


def _decline_row(decline: Decline, event: EventOut) -> DeclineRow:
    order = decline.order
    return DeclineRow(
        decline_id=decline.decline_id,
        customer_id=order.customer_id,
        account_id=order.account_id,
        destination_account_id=order.destination_account_id,
        amount=order.amount.minor_units,
        currency=order.amount.currency,
        reason=decline.reason,
        order_id=order.order_id,
        correlation_id=order.correlation_id,
        decline_time=decline.decline_time,
        event_id=event.event_id,
        payload=event.payload,
        traceparent=order.traceparent or None,
    )


def _answer(row: asyncpg.Record | None) -> Posted | None:
    """Return the stored answer of a row's key, or None; raise IdempotencyKeyReused."""
    if row is None or (row["response"] is None and row["verdict"] != "REUSED"):
        return None
    if row["verdict"] == "REUSED":
        raise IdempotencyKeyReused
    return Posted(row["response"], is_new=row["verdict"] == "POSTED")
