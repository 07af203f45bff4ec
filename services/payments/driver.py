"""Drives transfers through the saga: asks the clearing house and saves what its answer means.

`start` takes a transfer as far as the clearing house's answers allow. The worker that holds the
lease drives it. Two concurrent drivers are harmless, because each question carries the transfer's
key and each save its version.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from services.chassis.telemetry import bind_request
from services.chassis.unreachable import UNREACHABLE
from services.kernel.clock import utc_now
from services.kernel.errors import AccountBusy, BankError
from services.kernel.ids import new_id, shard_of
from services.ledger.refusals import LedgerRefusal
from services.payments import mapping, saga
from services.payments.attempt import Attempt
from services.payments.partners.ach import AchClient
from services.payments.rows import KeptLeases, Lease, StoredTransfer
from services.payments.saga import Answer, Step
from services.payments.settings import RETURN_WAIT_S, SETTLEMENT_WAIT_S
from services.payments.state import PENDING, Event, State
from services.payments.store import Store
from services.payments.traces import TraceChecks, Waits
from services.payments.transfer import Fact, Transfer, after

LEASE_S = 45
"""Longer than one question to the clearing house takes (http_client.TOTAL_S). Before each further
question in the same run, the driver renews the lease."""
_LEASE = timedelta(seconds=LEASE_S)

STEPS_MAX = 4
"""The largest number of questions in a row; enough for any consistent clearing house. A
contradiction is logged, and the driver asks again later."""

RELEASE_WITHIN_S = 2.0
"""How long a stopping worker tries to release its leases; after that they expire by themselves."""

POLL_S = 1.0
"""How often a worker looks for transfers whose lease has expired."""

Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Driven:
    """A transfer after its steps, and the answer to its creation, if one is kept."""

    transfer: Transfer
    response: bytes | None


class Driver:
    """Carries out the steps of the saga; one for each worker process."""

    def __init__(
        self,
        store: Store,
        ach: AchClient,
        slot: str,
        settlement_wait_s: float = SETTLEMENT_WAIT_S,
        return_wait_s: float = RETURN_WAIT_S,
    ) -> None:
        self._waits_s = {State.SUBMITTED: settlement_wait_s, State.COMPLETED: return_wait_s}
        self.settlement_wait_s = settlement_wait_s
        self._store = store
        self._slot = slot
        self._interrupt_time: datetime | None = utc_now()
        """When this process started or a task last met an outage; None once the leases from before
        that time are released."""
        self._running: dict[uuid.UUID, asyncio.Task[Driven]] = {}
        self._carried: set[asyncio.Task[Any]] = set()
        waits = Waits(timedelta(seconds=settlement_wait_s), timedelta(seconds=return_wait_s))
        self.traces = TraceChecks(store.traces, slot, waits)
        self._ask: dict[Step, Callable[[Transfer], Awaitable[Answer]]] = {
            Step.SUBMIT: ach.submit,
            Step.QUERY: ach.query,
            Step.RECALL: ach.recall,
        }

    def lease(self) -> Lease:
        """Return a lease of this worker that begins now."""
        return Lease(self._slot, utc_now() + _LEASE)

    def start(self, transfer: Transfer) -> asyncio.Task[Driven]:
        """Return the transfer's background task, started if none runs; it outlives its callers."""
        running = self._running.get(transfer.transfer_id)
        if running is not None:
            return running
        task = asyncio.create_task(self._drive(transfer))
        self._running[transfer.transfer_id] = task
        task.add_done_callback(lambda done: self._ended(transfer.transfer_id, done))
        return task

    def carry_through(
        self, work: Coroutine[Any, Any, Result], attempt: Attempt
    ) -> asyncio.Task[Result]:
        """Run a debit or a cancellation in a task that outlives its caller.

        `drain` waits for it too.
        """
        task = asyncio.create_task(work)
        self._carried.add(task)
        task.add_done_callback(lambda done: self._carried_through(done, attempt))
        return task

    def _carried_through(self, task: "asyncio.Task[Any]", attempt: Attempt) -> None:
        self._carried.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or isinstance(error, BankError | LedgerRefusal):
            return
        if attempt.abandoned:
            log.warning("saga.debit_interrupted", exc_info=error)
        if isinstance(error, UNREACHABLE):
            # The debit may have been written: this worker looks for it when the database is back.
            self._interrupt_time = utc_now()

    async def drain(self, seconds: float) -> None:
        """Give running tasks `seconds` to end; stop the others and release their leases.

        Another worker then continues their transfers immediately.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while tasks := {*self._carried, *self._running.values()}:
            left_s = deadline - asyncio.get_running_loop().time()
            if left_s <= 0:
                break
            await asyncio.wait(tasks, timeout=left_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(RELEASE_WITHIN_S):
                # A batch continues without its callers, and its transfers have leases too.
                await self._store.settle()
                await self._store.release_leases(self._slot, utc_now())
                await self.traces.compare()
        except UNREACHABLE as error:
            log.warning("saga.leases_kept", error=type(error).__name__)

    def running(self, transfer_id: uuid.UUID) -> asyncio.Task[Driven] | None:
        """Return the task that drives a transfer in this process, or None."""
        return self._running.get(transfer_id)

    def _ended(self, transfer_id: uuid.UUID, task: "asyncio.Task[Driven]") -> None:
        self._running.pop(transfer_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # When the lease expires, a worker takes up the transfer again.
            log.warning("saga.interrupted", transfer_id=str(transfer_id), exc_info=error)
            if isinstance(error, UNREACHABLE):
                # The database failed: this worker takes up the transfer as soon as the database
                # is back, before the lease expires. Tasks that are still running are not affected.
                self._interrupt_time = utc_now()

    async def _drive(self, transfer: Transfer) -> Driven:
        bind_request(transfer.correlation_id, transfer.traceparent)
        response: bytes | None = None
        while transfer.state in PENDING:
            fact = await self._next_fact(transfer)
            if fact is None:
                await self.postpone(transfer, saga.retry_after_s(transfer))
                moved = await self._moved_meanwhile(transfer)
                if moved is None:
                    break
                transfer, response = moved.transfer, moved.accepted_response
                continue
            asked_in = transfer.state
            try:
                transfer, response = await self.save(transfer, fact)
                remaining_fact = saga.if_overtaken(asked_in, transfer, fact)
                if remaining_fact is not None:
                    transfer, response = await self.save(transfer, remaining_fact)
            except AccountBusy:
                # Another transaction holds the account: a refund waits, and nothing is lost.
                log.warning("saga.account_busy", transfer_id=str(transfer.transfer_id))
                await self.postpone(transfer, saga.retry_after_s(transfer))
                break
        return Driven(transfer, response)

    async def _moved_meanwhile(self, transfer: Transfer) -> StoredTransfer | None:
        """Return the transfer if it has moved since it was read, and this worker may drive it.

        Other calls of this worker, such as a customer's cancellation, also move it, and rely on the
        running task.
        """
        stored = await self._store.transfer(transfer.transfer_id)
        if stored is None or stored.transfer.version == transfer.version:
            return None
        if stored.transfer.state in PENDING:
            renewed = await self._store.renew_lease(stored.transfer, self.lease())
            return stored if renewed else None
        return stored

    async def _next_fact(self, transfer: Transfer) -> Fact | None:
        """Ask until an answer is a fact; None: ask again later.

        `state.TABLE` has a row for every fact that this can return.
        """
        step, refusal = saga.FIRST_STEP[transfer.state], ""
        for number in range(STEPS_MAX):
            # The first question usually follows a debit, a saved step or a claim, which begin a
            # lease. After a replay or a second cancellation another worker may have the lease.
            if number > 0 and not await self._store.renew_lease(transfer, self.lease()):
                log.info("saga.lease_lost", transfer_id=str(transfer.transfer_id), next=step.name)
                return None
            answer = await self._ask[step](transfer)
            refusal = answer.reason or refusal
            following = saga.after_answer(step, answer, refusal)
            if isinstance(following, Step):
                step = following
            elif following is None or not saga.contradicts_trace_number(transfer, following):
                return following
            else:
                break
        # A contradiction posts nothing. A person looks into it, and the driver asks again later:
        # the clearing house may have become consistent.
        log.error("saga.contradiction", transfer_id=str(transfer.transfer_id), last=step.name)
        return None

    async def save(
        self, transfer: Transfer, fact: Fact, notice_id: str | None = None
    ) -> tuple[Transfer, bytes | None]:
        """Save a fact's step, unless another save came first; return the stored transfer."""
        moved, transition = after(transfer, fact, utc_now())
        event_id = new_id(shard_of(moved.transfer_id))
        event = mapping.event_out(moved, transition.event_type, event_id)
        unanswered = transition.frees_key or moved.state in PENDING
        response = None if unanswered else mapping.response_bytes(moved)
        lease = self._lease_in(moved.state)
        advanced, accepted_response = True, None
        try:
            advanced, accepted_response = await self._store.advance(
                moved, transition, event, lease, response=response, notice_id=notice_id
            )
        finally:
            # Also after an error: the step may have been saved.
            if advanced and moved.trace_number != transfer.trace_number:
                self.traces.note(moved.transfer_id, moved.trace_number, moved.update_time)
        if advanced:
            if fact.event is Event.CANCEL_ASKED:
                request = {"requested_by": fact.requester.value, "state": moved.state.value}
                log.info("transfer.cancel_requested", transfer_id=str(moved.transfer_id), **request)
            return moved, accepted_response
        stored = await self._store.transfer(transfer.transfer_id)
        if stored is None:
            raise LookupError(f"transfer {transfer.transfer_id} does not exist")
        return stored.transfer, stored.accepted_response

    def _lease_in(self, state: State) -> Lease:
        """Return this worker's lease of a transfer that it moves to a pending state.

        In another state the lease has no owner. Its end is the time of the first query: when
        SUBMITTED after the wait for a notice, when COMPLETED at the first check for a late return.
        """
        if state in PENDING:
            return self.lease()
        return Lease("", utc_now() + timedelta(seconds=self._waits_s.get(state, LEASE_S)))

    async def postpone(self, transfer: Transfer, wait_s: float) -> None:
        """End this worker's lease, and let the bank ask about the transfer again after a wait."""
        until = utc_now() + timedelta(seconds=wait_s)
        await self._store.postpone(transfer, until, self._slot)

    async def resume(self) -> None:
        """Drive the transfers that are due; at start and after an outage also this slot's own."""
        interrupted = self._interrupt_time
        if interrupted is not None:
            # Debits that are being written have leases that began since then. A lease that expires
            # much later than one that begins now comes from a process with a wrong clock.
            now = utc_now()
            kept = KeptLeases(interrupted + _LEASE, now + 2 * _LEASE, [*self._running])
            held = await self._store.release_leases(self._slot, now, kept)
            if held == 0 and self._interrupt_time == interrupted:
                self._interrupt_time = None
        try:
            due = await self._store.claim_due(self.lease(), utc_now())
        except UNREACHABLE:
            # The claim may have been saved without an answer.
            self._interrupt_time = utc_now()
            raise
        for transfer in due:
            self.start(transfer)
