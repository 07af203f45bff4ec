"""The transfers in PostgreSQL: each method one round trip, in SQL of sql/queries.sql."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from services.chassis.batching import DEFAULT_BATCH_LIMITS, Batcher, BatchLimits
from services.chassis.postgres import Queries
from services.chassis.unreachable import UNREACHABLE
from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.ledger import refusals as ledger
from services.payments import mapping
from services.payments.state import State, Transition
from services.payments.transfer import Beneficiary, InterbankTransferOrder, Notice, Transfer

DUE_ROWS_MAX = 64


@dataclass(frozen=True, slots=True)
class StoredTransfer:
    """A transfer as stored, with the answer that its creation got, if it got one."""

    transfer: Transfer
    accepted_response: bytes | None


@dataclass(frozen=True, slots=True)
class Debit:
    """What became of a debit."""

    outcome: str
    """DEBITED, EXISTING (a replay) or REUSED (the key is another payload's)."""
    transfer_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works on a transfer and until when nobody else takes it up."""

    owner: str
    until: datetime


Row = tuple[Any, ...]
"""One row of payments.debit_order or payments.plain_step."""


class Store:
    """The only way of this service to its tables."""

    def __init__(
        self, pool: asyncpg.Pool, queries: Queries, limits: BatchLimits = DEFAULT_BATCH_LIMITS
    ) -> None:
        self._pool = pool
        self._sql = queries
        self._debits = Batcher(self._debit_each, limits)
        self._steps = Batcher(self._advance_group, limits)

    async def debit(self, order: InterbankTransferOrder, transfer: Transfer, lease: Lease) -> Debit:
        """Post the debit with key, transfer and event, or say what the key stands for already.

        Raises services.ledger.api's errors, and then nothing of it happened.
        """
        row = _debit_row(order, transfer, lease)
        try:
            made = await self._debits.submit(row)
        except asyncpg.PostgresError:
            # Something held up or broke the group: each goes alone, so none suffers for another.
            made = None
        if isinstance(made, ledger.LedgerRefusal):
            raise made
        return made or await self._debit_alone(row)

    async def _debit_each(self, rows: Sequence[Row]) -> list[Debit | ledger.LedgerRefusal | None]:
        """Debit what can be debited; None for an order that has to go alone."""
        found: list[Any] = await self._pool.fetch(self._sql.debit_each, rows)
        outcomes = {one["transfer_id"]: _outcome(one) for one in found}
        return [outcomes[row[0]] for row in rows]

    async def _debit_alone(self, row: Row) -> Debit:
        with ledger.refusals():
            return _debit(await self._pool.fetchrow(self._sql.debit, *row))

    async def advance(
        self,
        moved: Transfer,
        transition: Transition,
        lease_until: datetime,
        *,
        response: bytes | None = None,
        notice_id: str | None = None,
    ) -> tuple[bool, bytes | None]:
        """Save a step; False when the transfer had moved on already, and then nothing changed."""
        shard = shard_of(moved.transfer_id)
        event_id = new_id(shard)
        if transition.posting is None and not transition.frees_key and notice_id is None:
            step = _step_row(moved, transition, lease_until, event_id, response)
            try:
                return await self._steps.submit(step)
            except asyncpg.PostgresError as error:
                if isinstance(error, UNREACHABLE):
                    # Nobody's fault; whoever drives goes on when the database is back.
                    raise
                # One of the group cannot be saved: each goes alone, so none suffers for another.
        row: Any = await self._pool.fetchrow(
            self._sql.advance,
            moved.transfer_id,
            moved.version - 1,
            moved.state.value,
            moved.trace_number or None,
            moved.failure_reason or None,
            moved.return_code or None,
            moved.update_time,
            lease_until,
            transition.posting.name if transition.posting else None,
            new_id(shard),
            event_id,
            f"bp.payments.v1.{transition.event_type}",
            mapping.event_payload(moved, transition.event_type, event_id),
            transition.frees_key,
            response,
            notice_id,
        )
        return row["advanced"], row["accepted_response"]

    async def _advance_group(self, rows: Sequence[Row]) -> list[tuple[bool, bytes | None]]:
        """Save steps that post nothing, each as `advance` does."""
        found: list[Any] = await self._pool.fetch(self._sql.advance_group, sorted(rows, key=_id))
        taken = {one["event_id"]: one["accepted_response"] for one in found}
        return [(row[_EVENT_ID] in taken, taken.get(row[_EVENT_ID])) for row in rows]

    async def transfer(self, transfer_id: uuid.UUID) -> StoredTransfer | None:
        """Return a transfer, or None."""
        row = await self._pool.fetchrow(self._sql.transfer, shard_of(transfer_id), transfer_id)
        return _stored_transfer(row) if row else None

    async def transfer_by_trace(self, trace_number: str) -> uuid.UUID | None:
        """Return the id of the transfer with a trace number, or None."""
        return await self._pool.fetchval(self._sql.transfer_by_trace, trace_number)

    async def transfers_of_account(
        self,
        customer_id: uuid.UUID,
        account_id: uuid.UUID,
        *,
        state: str | None,
        cursor: uuid.UUID | None,
        rows: int,
    ) -> list[Transfer]:
        """Return one page of an account's transfers, newest first."""
        found = await self._pool.fetch(
            self._sql.transfers_of_account,
            shard_of(account_id),
            account_id,
            customer_id,
            cursor,
            state,
            rows,
        )
        return [_stored_transfer(row).transfer for row in found]

    async def key(self, order: InterbankTransferOrder) -> tuple[uuid.UUID, bytes] | None:
        """Return the transfer and the fingerprint that a key stands for, or None."""
        row = await self._pool.fetchrow(
            self._sql.key, shard_of(order.account_id), order.customer_id, order.idempotency_key
        )
        return (row["transfer_id"], row["fingerprint"]) if row else None

    async def keep_response(self, transfer_id: uuid.UUID, response: bytes) -> bytes:
        """Keep an answer, unless one is kept already; return the one that stands."""
        return await self._pool.fetchval(
            self._sql.keep_response, shard_of(transfer_id), transfer_id, response
        )

    async def claim_due(self, lease: Lease, now: datetime) -> list[Transfer]:
        """Take up pending transfers whose lease is over."""
        rows = await self._pool.fetch(
            self._sql.claim_due, lease.owner, lease.until, now, DUE_ROWS_MAX
        )
        return [_stored_transfer(row).transfer for row in rows]

    async def release_leases(self, owner: str, now: datetime) -> None:
        """End what an earlier process of the same slot left."""
        await self._pool.execute(self._sql.release_leases, owner, now)

    async def postpone(self, transfer: Transfer, until: datetime) -> None:
        """Say when a pending transfer asks again."""
        shard = shard_of(transfer.transfer_id)
        await self._pool.execute(
            self._sql.postpone, shard, transfer.transfer_id, transfer.version, until
        )

    async def claim_unsettled(self, lease: Lease, now: datetime, rows_max: int) -> list[Transfer]:
        """Take up submitted transfers whose notice has been waited for too long."""
        rows = await self._pool.fetch(
            self._sql.claim_unsettled, lease.owner, lease.until, now, rows_max
        )
        return [_stored_transfer(row).transfer for row in rows]

    async def put_aside(self, transfer: Transfer, told: Notice) -> bool:
        """Keep what cannot be as a notice in CONFLICT and ask no more; False when the transfer
        has moved on meanwhile, and then nothing changed."""
        shard = shard_of(transfer.transfer_id)
        notice_id = await self._pool.fetchval(
            self._sql.put_aside,
            shard,
            transfer.transfer_id,
            transfer.version,
            told.notice_id,
            told.type,
            told.trace_number,
        )
        return notice_id is not None

    async def keep_notice(self, notice: Notice) -> str:
        """Keep a notice; return KEPT, or what became of it when it is a repetition."""
        state = await self._pool.fetchval(
            self._sql.keep_notice,
            notice.notice_id,
            notice.type,
            notice.trace_number,
            notice.transfer_id,
            notice.return_code,
        )
        return state or "KEPT"

    async def close_notice(self, notice: Notice, state: str) -> None:
        """Say what became of a notice that changed nothing."""
        await self._pool.execute(self._sql.close_notice, notice.notice_id, state)

    async def matching_notices(self) -> list[Notice]:
        """Return kept notices whose transfer is there now."""
        rows = await self._pool.fetch(self._sql.matching_notices, DUE_ROWS_MAX)
        return [Notice(*row) for row in rows]

    async def ensure_partitions(self) -> None:
        """Make the partitions of the coming months."""
        await self._pool.execute(self._sql.ensure_partitions)


def _debit_row(order: InterbankTransferOrder, transfer: Transfer, lease: Lease) -> Row:
    """Return the arguments of payments.debit."""
    shard = shard_of(order.account_id)
    event_id = new_id(shard)
    to = order.beneficiary
    return (
        transfer.transfer_id,
        order.customer_id,
        order.account_id,
        order.amount.minor_units,
        order.amount.currency,
        to.name,
        to.routing_number,
        to.account_number,
        to.account_type,
        order.memo,
        transfer.fraud_review,
        order.idempotency_key,
        order.fingerprint,
        order.correlation_id,
        order.traceparent,
        transfer.create_time,
        lease.owner,
        lease.until,
        new_id(shard),
        event_id,
        mapping.event_payload(transfer, "TransferDebited", event_id),
    )


def _outcome(row: Any) -> Debit | ledger.LedgerRefusal | None:
    if row["outcome"] == "REFUSED":
        return ledger.refusal_of_verdict(row["refusal"])
    return _debit(row) if row["outcome"] else None


def _debit(row: Any) -> Debit:
    existing = row["existing_transfer_id"]
    # Its own key means that its group was saved and only the answer got lost.
    outcome = "DEBITED" if existing == row["transfer_id"] else row["outcome"]
    return Debit(outcome, existing or row["transfer_id"])


_EVENT_ID = 8


def _step_row(
    moved: Transfer,
    transition: Transition,
    lease_until: datetime,
    event_id: uuid.UUID,
    response: bytes | None,
) -> Row:
    """Return one row of payments.plain_step."""
    return (
        moved.transfer_id,
        moved.version - 1,
        moved.state.value,
        moved.trace_number or None,
        moved.failure_reason or None,
        moved.return_code or None,
        moved.update_time,
        lease_until,
        event_id,
        f"bp.payments.v1.{transition.event_type}",
        mapping.event_payload(moved, transition.event_type, event_id),
        response,
    )


def _id(row: Row) -> uuid.UUID:
    return row[0]


def _stored_transfer(row: Any) -> StoredTransfer:
    transfer = Transfer(
        transfer_id=row["transfer_id"],
        customer_id=row["customer_id"],
        account_id=row["account_id"],
        amount=Money(row["amount"], row["currency"]),
        beneficiary=Beneficiary(
            name=row["beneficiary_name"],
            routing_number=row["routing_number"],
            account_number=row["account_number"],
            account_type=row["account_type"],
        ),
        memo=row["memo"],
        state=State(row["state"]),
        version=row["version"],
        fraud_review=row["fraud_review"],
        correlation_id=row["correlation_id"],
        traceparent=row["traceparent"],
        create_time=row["create_time"],
        update_time=row["update_time"],
        trace_number=row["trace_number"] or "",
        failure_reason=row["failure_reason"] or "",
        return_code=row["return_code"] or "",
        attempts=row["attempts"],
    )
    return StoredTransfer(transfer, row["accepted_response"])
