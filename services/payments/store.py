"""Interbank transfers in PostgreSQL: each method runs one statement of sql/queries.sql."""

import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from services.chassis.batching import DEFAULT_BATCH_LIMITS, Batcher, BatchLimits
from services.chassis.lone_calls import LoneCalls
from services.chassis.postgres import load_queries
from services.chassis.unreachable import UNREACHABLE
from services.kernel.errors import AccountBusy
from services.kernel.ids import shard_of
from services.kernel.time_range import TimeRange
from services.ledger import refusals as ledger_refusals
from services.ledger.held_orders import HELD, HeldOrders
from services.ledger.holds import Holds, Key, Locks
from services.payments.attempt import Attempt
from services.payments.beneficiaries import BeneficiaryStore
from services.payments.declines import DeclineStore
from services.payments.notice_store import NoticeStore
from services.payments.rows import (
    NONE_KEPT,
    Debit,
    DebitOrder,
    KeptLeases,
    Lease,
    LeasedStep,
    ReturnCheck,
    StoredTransfer,
    UsedKey,
    debit_of_row,
    debit_order,
    outcome_of_debit,
    plain_step,
    return_check,
    step_values,
    stored_transfer,
)
from services.payments.state import Posting, State, Transition
from services.payments.traces import TraceStore
from services.payments.transfer import (
    EventOut,
    InterbankTransferOrder,
    Notice,
    Requester,
    Review,
    Transfer,
)

DUE_ROWS_MAX = 64

KEYS_MAX = 1_000
"""The largest number of transfers whose keys one statement forgets."""

_FIRST, _LAST = uuid.UUID(int=0), uuid.UUID(int=(1 << 128) - 1)

ALONE_MAX = 2
"""The largest number of debits that are retried alone at once, and of refunds, each on a connection
of its own. The others wait for a place, so that a locked account does not take every connection."""

OUTCOME_UNKNOWN = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""Errors after which a statement may have been committed. After any other error of the server it
was rolled back."""

BUSY = (AccountBusy, HELD)
"""Raised when another session holds a row. Background work then continues with other rows."""

Step = tuple[bool, bytes | None]
"""Whether a step was saved, and the stored answer to the creation."""


class Store:
    """The schema `payments` of the Write DB."""

    def __init__(self, pool: asyncpg.Pool, limits: BatchLimits = DEFAULT_BATCH_LIMITS) -> None:
        self._pool = pool
        self._sql = load_queries(Path(__file__).with_name("sql") / "queries.sql")
        self._keys = Batcher(self._find_keys, limits)
        self._debits = Batcher(self._debit_each, limits)
        self._steps = Batcher(self._advance_batch, limits)
        holds = Holds(pool, self._sql.held_keys)
        self._held = HeldOrders(holds, self._debit_each, _locks_of, limits.items_max)
        self._alone = LoneCalls(ALONE_MAX)
        self._refunds = LoneCalls(ALONE_MAX)
        self.traces = TraceStore(pool, self._sql)
        self.declines = DeclineStore(pool, self._sql, limits)
        self.beneficiaries = BeneficiaryStore(pool, self._sql, limits)
        self.notices = NoticeStore(pool, self._sql)

    async def debit(
        self,
        order: InterbankTransferOrder,
        transfer: Transfer,
        event: EventOut,
        lease: Lease,
        attempt: Attempt | None = None,
    ) -> Debit:
        """Post the debit with key, transfer and event, or return the transfer that has the key.

        `attempt` says whether the debit may have been written, and stops a retry if the caller
        has left. Raises the refusals of services.ledger; a refused debit writes nothing.
        """
        attempt = attempt or Attempt()
        row = debit_order(order, transfer, event, lease)
        try:
            outcome = await self._debit_in_a_batch(row, attempt)
        except asyncpg.PostgresError as error:
            # An error fails the whole batch. Each debit is then retried alone, so that one cannot
            # fail the others.
            outcome = None
            if isinstance(error, OUTCOME_UNKNOWN) and attempt.begun:
                attempt.lose(error)
        if outcome is None and attempt.lost is None:
            attempt.undone()
        if isinstance(outcome, ledger_refusals.LedgerRefusal):
            raise outcome
        return outcome or await self._debit_alone(row, attempt)

    async def _debit_in_a_batch(
        self, row: DebitOrder, attempt: Attempt
    ) -> Debit | ledger_refusals.LedgerRefusal | None:
        """Debit in the next batch, or with orders that wait for rows held by another session."""
        if not self._held.remembers(row):
            try:
                return await self._debits.submit(row, attempt.begin)
            except HELD:
                attempt.undone()
        return await self._held.submit(row, attempt)

    async def _debit_each(
        self, orders: Sequence[DebitOrder]
    ) -> list[Debit | ledger_refusals.LedgerRefusal | None]:
        """Make the debits that can be made; None for an order that has to be retried alone."""
        rows: list[Any] = await self._pool.fetch(self._sql.debit_each, orders)
        outcomes = {row["transfer_id"]: outcome_of_debit(row) for row in rows}
        return [outcomes.get(order.transfer_id) for order in orders]

    async def _debit_alone(self, order: DebitOrder, attempt: Attempt) -> Debit:
        async with self._alone.turn(order.account_id):
            attempt.begin()
            try:
                return await self._debit_one(order)
            except HELD as error:
                raise AccountBusy from error

    async def _debit_one(self, order: DebitOrder) -> Debit:
        with ledger_refusals.refusals():
            return debit_of_row(await self._pool.fetchrow(self._sql.debit, *order))

    async def advance(
        self,
        moved: Transfer,
        transition: Transition,
        event: EventOut,
        lease: Lease,
        *,
        response: bytes | None = None,
        notice_id: str | None = None,
    ) -> Step:
        """Save a step and return whether it was saved, with the stored answer to the creation.

        A transfer that another worker has advanced is not changed. The lease begins with the step;
        without an owner, its end is the time of the next query. Raises AccountBusy.
        """
        plain = transition.posting is None and not transition.frees_key and notice_id is None
        # A plain step into CANCELLING is a request of the customer.
        if plain and moved.cancel_requester is not Requester.BANK:
            try:
                saved = await self._steps.submit(plain_step(moved, event, lease, response))
            except asyncpg.PostgresError as error:
                if isinstance(error, UNREACHABLE) and not isinstance(error, HELD):
                    # No step is at fault; the driver continues when the database is back.
                    raise
                # One step of the batch cannot be saved. Each is retried alone, so that it cannot
                # fail the others.
                saved = None
            if saved is not None:
                return saved
        step = step_values(moved, transition, event, lease, response, notice_id)
        if transition.posting in {None, Posting.SETTLE}:
            return await self._advance_alone(*step)
        # Notices about one locked account, however many, wait on one connection.
        async with self._refunds.turn(moved.account_id):
            return await self._advance_alone(*step)

    async def _advance_alone(self, *step: object) -> Step:
        try:
            row: Any = await self._pool.fetchrow(self._sql.advance, *step)
        except HELD as error:
            raise AccountBusy from error
        return row["advanced"], row["accepted_response"]

    async def _advance_batch(self, leased: Sequence[LeasedStep]) -> list[Step | None]:
        """Save steps that post nothing, each as `advance` does; None for a held transfer."""
        held: frozenset[uuid.UUID] = frozenset()
        try:
            saved = await self._advance_group(leased)
        except HELD:
            ids = [step.transfer_id for step, _ in leased]
            held = frozenset(await self._pool.fetchval(self._sql.held_transfers, ids))
            free = [one for one in leased if one.step.transfer_id not in held]
            saved = await self._advance_group(free)
        return [
            None if step.transfer_id in held else (step.event_id in saved, saved.get(step.event_id))
            for step, _ in leased
        ]

    async def _advance_group(self, leased: Sequence[LeasedStep]) -> dict[uuid.UUID, bytes | None]:
        """Save steps in the order of their transfers; return answers by the events of the saved."""
        if not leased:
            return {}
        in_order = sorted(leased, key=lambda one: one.step.transfer_id)
        steps, owners = [step for step, _ in in_order], [owner for _, owner in in_order]
        rows: list[Any] = await self._pool.fetch(self._sql.advance_group, steps, owners)
        return {row["event_id"]: row["accepted_response"] for row in rows}

    async def settle(self) -> None:
        """Wait until no batch is being written."""
        await self._debits.settle()
        await self._held.settle()
        await self._steps.settle()

    async def transfer(self, transfer_id: uuid.UUID) -> StoredTransfer | None:
        """Return a transfer, or None."""
        row = await self._pool.fetchrow(self._sql.transfer, shard_of(transfer_id), transfer_id)
        return stored_transfer(row) if row else None

    async def transfers_by_trace(self, trace_number: str) -> dict[uuid.UUID, State]:
        """Return the transfers with a trace number and their states, newest first."""
        rows: list[Any] = await self._pool.fetch(self._sql.transfers_by_trace, trace_number)
        return {row["transfer_id"]: State(row["state"]) for row in rows}

    async def transfers_of_account(
        self,
        customer_id: uuid.UUID,
        account_id: uuid.UUID,
        *,
        state: State | None,
        created: TimeRange,
        cursor: uuid.UUID | None,
        rows: int,
    ) -> list[Transfer]:
        """Return one page of an account's transfers in a range of time, newest first."""
        below = min(cursor or _LAST, created.end_id)
        bounds = (below, created.first_id, created.start, created.end)
        page = (shard_of(account_id), account_id, customer_id, *bounds)
        if state is None:
            found = await self._pool.fetch(self._sql.transfers_of_account, *page, rows)
        else:
            sql = self._sql.transfers_of_account_in_state
            found = await self._pool.fetch(sql, *page, state.value, rows)
        return [stored_transfer(row).transfer for row in found]

    async def key(self, order: InterbankTransferOrder) -> UsedKey | None:
        """Return the transfer that has the order's idempotency key, or None."""
        return await self._keys.submit(order)

    async def _find_keys(self, orders: Sequence[InterbankTransferOrder]) -> list[UsedKey | None]:
        rows = await self._pool.fetch(
            self._sql.find_keys,
            [shard_of(order.account_id) for order in orders],
            [order.customer_id for order in orders],
            [order.idempotency_key for order in orders],
        )
        found = {row["number"]: UsedKey(row["transfer_id"], row["fingerprint"]) for row in rows}
        return [found.get(number) for number in range(1, len(orders) + 1)]

    async def keep_response(self, transfer_id: uuid.UUID, response: bytes) -> bytes | None:
        """Store an answer unless the transfer already has one; return the stored answer.

        Returns None for a transfer that has failed without an answer, because its key is free.
        """
        return await self._pool.fetchval(
            self._sql.keep_response, shard_of(transfer_id), transfer_id, response
        )

    async def claim_due(self, lease: Lease, now: datetime) -> list[Transfer]:
        """Claim pending transfers without a valid lease."""
        rows = await self._pool.fetch(
            self._sql.claim_due, lease.owner, lease.until, now, DUE_ROWS_MAX
        )
        return [stored_transfer(row).transfer for row in rows]

    async def release_leases(self, owner: str, now: datetime, kept: KeptLeases = NONE_KEPT) -> int:
        """End the leases of a slot except `kept`, and return how many rows are locked."""
        return await self._pool.fetchval(self._sql.release_leases, owner, now, *kept)

    async def renew_lease(self, transfer: Transfer, lease: Lease) -> bool:
        """Extend a worker's lease; return False if the worker may not ask about the transfer."""
        whose = (shard_of(transfer.transfer_id), transfer.transfer_id, transfer.version)
        renewed = await self._pool.fetchval(self._sql.renew_lease, *whose, lease.owner, lease.until)
        return renewed is not None

    async def postpone(self, transfer: Transfer, until: datetime, owner: str) -> None:
        """End the lease of `owner`, and set when the bank asks about the transfer again."""
        whose = (shard_of(transfer.transfer_id), transfer.transfer_id, transfer.version)
        await self._pool.execute(self._sql.postpone, *whose, until, owner)

    async def claim_unsettled(self, lease: Lease, now: datetime, rows_max: int) -> list[Transfer]:
        """Claim submitted transfers whose notice is overdue."""
        rows = await self._pool.fetch(
            self._sql.claim_unsettled, lease.owner, lease.until, now, rows_max
        )
        return [stored_transfer(row).transfer for row in rows]

    async def claim_return_checks(
        self, lease: Lease, now: datetime, rows_max: int
    ) -> list[ReturnCheck]:
        """Claim checks for late returns that are due."""
        rows = await self._pool.fetch(self._sql.claim_return_checks, lease.until, now, rows_max)
        return [return_check(row) for row in rows]

    async def check_return_at(self, transfer_id: uuid.UUID, due_time: datetime) -> None:
        """Set when a transfer is next checked for a late return, if it still has a check."""
        sql = self._sql.check_return_at
        await self._pool.execute(sql, shard_of(transfer_id), transfer_id, due_time)

    async def check_return_by(self, transfer_id: uuid.UUID, due_time: datetime) -> None:
        """Set when a transfer is next checked for a late return, unless that is due earlier."""
        sql = self._sql.check_return_by
        await self._pool.execute(sql, shard_of(transfer_id), transfer_id, due_time)

    async def end_return_checks(self, transfer_id: uuid.UUID) -> None:
        """End the checks of a transfer for late returns."""
        await self._pool.execute(self._sql.end_return_checks, shard_of(transfer_id), transfer_id)

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

    async def ensure_partitions(self) -> None:
        """Create the partitions of the coming months."""
        await self._pool.execute(self._sql.ensure_partitions)

    async def unreported_reviews(self) -> AsyncGenerator[Review]:
        """Yield the decisions of reviewers whose event is not written yet, page by page.

        A page begins after the last transfer of the previous one, so decisions about held
        transfers do not hide the others, and one run yields each decision once.
        """
        last_id = _FIRST
        while True:
            rows = await self._pool.fetch(self._sql.unreported_reviews, DUE_ROWS_MAX, last_id)
            for row in rows:
                yield Review(**row)
            if len(rows) < DUE_ROWS_MAX:
                return
            last_id = rows[-1]["transfer_id"]

    async def report_review(self, review: Review, event: EventOut) -> bool:
        """Save the effect of a decision with its event; False if another worker was first."""
        values = (review.transfer_id, review.effect, event.event_id, event.payload)
        return await self._pool.fetchval(self._sql.report_review, *values)

    async def forget_keys(self) -> None:
        """Delete, in batches, the idempotency keys that the bank no longer honours."""
        while await self._pool.fetchval(self._sql.forget_keys, KEYS_MAX) >= KEYS_MAX:
            pass


def _locks_of(order: DebitOrder) -> Locks:
    return Locks((order.account_id,), Key(order.customer_id, order.idempotency_key))
