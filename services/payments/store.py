"""Interbank transfers in PostgreSQL: each method runs one statement of sql/queries.sql."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from services.chassis.batching import DEFAULT_BATCH_LIMITS, Batcher, BatchLimits
from services.chassis.postgres import load_queries
from services.chassis.unreachable import UNREACHABLE
from services.kernel.ids import new_id, shard_of
from services.kernel.money import Money
from services.ledger import refusals as ledger_refusals
from services.payments.state import State, Transition
from services.payments.transfer import (
    Beneficiary,
    EventOut,
    InterbankTransferOrder,
    Notice,
    Transfer,
)

DUE_ROWS_MAX = 64


@dataclass(frozen=True, slots=True)
class StoredTransfer:
    """A stored transfer with the answer to its creation, None until there is one."""

    transfer: Transfer
    accepted_response: bytes | None


@dataclass(frozen=True, slots=True)
class Debit:
    """The outcome of a debit."""

    outcome: str
    """DEBITED, EXISTING (a replay) or REUSED (the key belongs to another payload)."""
    transfer_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Lease:
    """Which worker drives a transfer, and until when no other worker claims it."""

    owner: str
    until: datetime


class DebitOrder(NamedTuple):
    """A value of the type payments.debit_order: the arguments of payments.debit, in order."""

    transfer_id: uuid.UUID
    customer_id: uuid.UUID
    account_id: uuid.UUID
    amount: int
    currency: str
    beneficiary_name: str
    routing_number: str
    account_number: str
    account_type: str
    memo: str
    fraud_review: bool
    idempotency_key: str
    fingerprint: bytes
    correlation_id: str
    traceparent: str
    create_time: datetime
    lease_owner: str
    lease_until: datetime
    transaction_id: uuid.UUID
    event_id: uuid.UUID
    payload: bytes


class PlainStep(NamedTuple):
    """A value of the type payments.plain_step: a step that posts nothing."""

    transfer_id: uuid.UUID
    expected_version: int
    next_state: str
    trace_number: str | None
    failure_reason: str | None
    return_code: str | None
    update_time: datetime
    lease_until: datetime
    event_id: uuid.UUID
    event_type: str
    payload: bytes
    response: bytes | None


class Store:
    """The schema `payments` of the Write DB."""

    def __init__(self, pool: asyncpg.Pool, limits: BatchLimits = DEFAULT_BATCH_LIMITS) -> None:
        self._pool = pool
        self._sql = load_queries(Path(__file__).with_name("sql") / "queries.sql")
        self._debits = Batcher(self._debit_each, limits)
        self._steps = Batcher(self._advance_batch, limits)

    async def debit(
        self, order: InterbankTransferOrder, transfer: Transfer, event: EventOut, lease: Lease
    ) -> Debit:
        """Post the debit with key, transfer and event, or return the transfer that has the key.

        Raises the refusals of services.ledger; a refused debit writes nothing.
        """
        row = _debit_order(order, transfer, event, lease)
        try:
            outcome = await self._debits.submit(row)
        except asyncpg.PostgresError:
            # A lock held too long or an error fails the whole batch. Each debit is then retried
            # alone, so that one cannot fail the others.
            outcome = None
        if isinstance(outcome, ledger_refusals.LedgerRefusal):
            raise outcome
        return outcome or await self._debit_alone(row)

    async def _debit_each(
        self, orders: Sequence[DebitOrder]
    ) -> list[Debit | ledger_refusals.LedgerRefusal | None]:
        """Make the debits that can be made; None for an order that has to be retried alone."""
        rows: list[Any] = await self._pool.fetch(self._sql.debit_each, orders)
        outcomes = {row["transfer_id"]: _outcome(row) for row in rows}
        return [outcomes[order.transfer_id] for order in orders]

    async def _debit_alone(self, order: DebitOrder) -> Debit:
        with ledger_refusals.refusals():
            return _debit(await self._pool.fetchrow(self._sql.debit, *order))

    async def advance(
        self,
        moved: Transfer,
        transition: Transition,
        event: EventOut,
        lease_until: datetime,
        *,
        response: bytes | None = None,
        notice_id: str | None = None,
    ) -> tuple[bool, bytes | None]:
        """Save a step and return whether it was saved, with the stored answer to the creation.

        A transfer that another worker has advanced is not changed.
        """
        if transition.posting is None and not transition.frees_key and notice_id is None:
            step = _plain_step(moved, event, lease_until, response)
            try:
                return await self._steps.submit(step)
            except asyncpg.PostgresError as error:
                if isinstance(error, UNREACHABLE):
                    # No step is at fault; the driver continues when the database is back.
                    raise
                # One step of the batch cannot be saved. Each is retried alone, so that it cannot
                # fail the others.
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
            new_id(shard_of(moved.transfer_id)),
            event.event_id,
            event.event_type,
            event.payload,
            transition.frees_key,
            response,
            notice_id,
        )
        return row["advanced"], row["accepted_response"]

    async def _advance_batch(self, steps: Sequence[PlainStep]) -> list[tuple[bool, bytes | None]]:
        """Save steps that post nothing, each as `advance` does."""
        rows: list[Any] = await self._pool.fetch(
            self._sql.advance_group, sorted(steps, key=attrgetter("transfer_id"))
        )
        responses = {row["event_id"]: row["accepted_response"] for row in rows}
        return [(step.event_id in responses, responses.get(step.event_id)) for step in steps]

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
        state: State | None,
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
            state.value if state else None,
            rows,
        )
        return [_stored_transfer(row).transfer for row in found]

    async def key(self, order: InterbankTransferOrder) -> tuple[uuid.UUID, bytes] | None:
        """Return the transfer and the fingerprint of an idempotency key, or None."""
        row = await self._pool.fetchrow(
            self._sql.key, shard_of(order.account_id), order.customer_id, order.idempotency_key
        )
        return (row["transfer_id"], row["fingerprint"]) if row else None

    async def keep_response(self, transfer_id: uuid.UUID, response: bytes) -> bytes:
        """Keep an answer unless the transfer has one already; return the kept one."""
        return await self._pool.fetchval(
            self._sql.keep_response, shard_of(transfer_id), transfer_id, response
        )

    async def claim_due(self, lease: Lease, now: datetime) -> list[Transfer]:
        """Claim pending transfers whose lease has expired."""
        rows = await self._pool.fetch(
            self._sql.claim_due, lease.owner, lease.until, now, DUE_ROWS_MAX
        )
        return [_stored_transfer(row).transfer for row in rows]

    async def release_leases(self, owner: str, now: datetime) -> None:
        """End the leases of an earlier process of the same slot."""
        await self._pool.execute(self._sql.release_leases, owner, now)

    async def postpone(self, transfer: Transfer, until: datetime) -> None:
        """Set when the bank asks the clearing house about a transfer again."""
        shard = shard_of(transfer.transfer_id)
        await self._pool.execute(
            self._sql.postpone, shard, transfer.transfer_id, transfer.version, until
        )

    async def claim_unsettled(self, lease: Lease, now: datetime, rows_max: int) -> list[Transfer]:
        """Claim submitted transfers whose notice is overdue."""
        rows = await self._pool.fetch(
            self._sql.claim_unsettled, lease.owner, lease.until, now, rows_max
        )
        return [_stored_transfer(row).transfer for row in rows]

    async def put_aside(self, transfer: Transfer, notice: Notice) -> bool:
        """Keep a contradiction as a notice in CONFLICT and stop asking about the transfer.

        Returns False and changes nothing when another worker has changed the transfer.
        """
        shard = shard_of(transfer.transfer_id)
        kept_id = await self._pool.fetchval(
            self._sql.put_aside,
            shard,
            transfer.transfer_id,
            transfer.version,
            notice.notice_id,
            notice.type,
            notice.trace_number,
        )
        return kept_id is not None

    async def keep_notice(self, notice: Notice) -> str:
        """Keep a notice and return its state: KEPT, or that of the same notice kept before."""
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
        """Set the state of a notice that changed nothing."""
        await self._pool.execute(self._sql.close_notice, notice.notice_id, state)

    async def matching_notices(self) -> list[Notice]:
        """Return kept notices whose transfer exists."""
        rows = await self._pool.fetch(self._sql.matching_notices, DUE_ROWS_MAX)
        return [_notice(row) for row in rows]

    async def ensure_partitions(self) -> None:
        """Create the partitions of the coming months."""
        await self._pool.execute(self._sql.ensure_partitions)


def _debit_order(
    order: InterbankTransferOrder, transfer: Transfer, event: EventOut, lease: Lease
) -> DebitOrder:
    beneficiary = order.beneficiary
    return DebitOrder(
        transfer_id=transfer.transfer_id,
        customer_id=order.customer_id,
        account_id=order.account_id,
        amount=order.amount.minor_units,
        currency=order.amount.currency,
        beneficiary_name=beneficiary.name,
        routing_number=beneficiary.routing_number,
        account_number=beneficiary.account_number,
        account_type=beneficiary.account_type,
        memo=order.memo,
        fraud_review=transfer.fraud_review,
        idempotency_key=order.idempotency_key,
        fingerprint=order.fingerprint,
        correlation_id=order.correlation_id,
        traceparent=order.traceparent,
        create_time=transfer.create_time,
        lease_owner=lease.owner,
        lease_until=lease.until,
        transaction_id=new_id(shard_of(order.account_id)),
        event_id=event.event_id,
        payload=event.payload,
    )


def _outcome(row: Any) -> Debit | ledger_refusals.LedgerRefusal | None:
    if row["outcome"] == "REFUSED":
        return ledger_refusals.refusal_of_verdict(row["refusal"])
    return _debit(row) if row["outcome"] else None


def _debit(row: Any) -> Debit:
    existing = row["existing_transfer_id"]
    # A transfer that finds its own key was saved by its batch; only the answer was lost.
    outcome = "DEBITED" if existing == row["transfer_id"] else row["outcome"]
    return Debit(outcome, existing or row["transfer_id"])


def _plain_step(
    moved: Transfer, event: EventOut, lease_until: datetime, response: bytes | None
) -> PlainStep:
    return PlainStep(
        transfer_id=moved.transfer_id,
        expected_version=moved.version - 1,
        next_state=moved.state.value,
        trace_number=moved.trace_number or None,
        failure_reason=moved.failure_reason or None,
        return_code=moved.return_code or None,
        update_time=moved.update_time,
        lease_until=lease_until,
        event_id=event.event_id,
        event_type=event.event_type,
        payload=event.payload,
        response=response,
    )


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


def _notice(row: Any) -> Notice:
    return Notice(
        notice_id=row["notice_id"],
        type=row["type"],
        trace_number=row["trace_number"],
        transfer_id=row["transfer_id"],
        return_code=row["return_code"],
    )
