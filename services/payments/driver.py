"""Drives transfers through the saga: asks the clearing house, saves what that means, goes on.

One call of `drive` takes a transfer as far as it goes now. Whoever holds the lease drives; two
drivers at once are harmless, since each step carries the transfer's key and each save its
version.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.chassis.unreachable import UNREACHABLE
from services.kernel.clock import utc_now
from services.payments import mapping, saga
from services.payments.partners.ach import AchClient
from services.payments.saga import Answer, Step
from services.payments.settings import SETTLEMENT_WAIT_S
from services.payments.state import PENDING, State
from services.payments.store import Lease, Store
from services.payments.transfer import Fact, Transfer, after

LEASE_S = 45
"""Longer than the sidecar lets one question to the clearing house take (30 s)."""

STEPS_MAX = 4
"""Questions in a row; all that a clearing house of sound mind needs. One that contradicts itself
is told in the log and asked again later."""

POLL_S = 1.0
"""How often a worker looks for transfers whose lease is over."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Driven:
    """How far a transfer came, and the answer to its creation, if one is kept."""

    transfer: Transfer
    response: bytes | None


class Driver:
    """The saga's hands: one for each worker process."""

    def __init__(
        self,
        store: Store,
        ach: AchClient,
        slot: str,
        settlement_wait_s: float = SETTLEMENT_WAIT_S,
    ) -> None:
        self.settlement_wait_s = settlement_wait_s
        self._store = store
        self._slot = slot
        self._released = False
        self._running: dict[uuid.UUID, asyncio.Task[Driven]] = {}
        self._ask: dict[Step, Callable[[Transfer], Awaitable[Answer]]] = {
            Step.SUBMIT: ach.submit,
            Step.QUERY: ach.query,
            Step.RECALL: ach.recall,
        }

    def lease(self) -> Lease:
        """Return a lease of this worker from now on."""
        return Lease(self._slot, utc_now() + timedelta(seconds=LEASE_S))

    def start(self, transfer: Transfer) -> asyncio.Task[Driven]:
        """Drive a transfer in the background, once at a time, whoever else stops waiting for it."""
        running = self._running.get(transfer.transfer_id)
        if running is not None:
            return running
        task = asyncio.create_task(self._drive(transfer))
        self._running[transfer.transfer_id] = task
        task.add_done_callback(lambda done: self._ended(transfer.transfer_id, done))
        return task

    def running(self, transfer_id: uuid.UUID) -> asyncio.Task[Driven] | None:
        """Return the task that drives a transfer in this process, if one does."""
        return self._running.get(transfer_id)

    def _ended(self, transfer_id: uuid.UUID, task: "asyncio.Task[Driven]") -> None:
        self._running.pop(transfer_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The lease ends by itself and a worker takes the transfer up again.
            log.warning("saga.interrupted", transfer_id=str(transfer_id), exc_info=error)
            if isinstance(error, UNREACHABLE):
                # The database failed under it: taken up as soon as that is there again, not
                # only when the lease is over. Who still runs is not disturbed by it.
                self._released = False

    async def _drive(self, transfer: Transfer) -> Driven:
        response: bytes | None = None
        while transfer.state in PENDING:
            fact = await self._next_fact(transfer)
            if fact is None:
                await self._postpone(transfer)
                break
            transfer, response = await self.save(transfer, fact)
            remains = saga.if_overtaken(transfer, fact)
            if remains is not None:
                transfer, response = await self.save(transfer, remains)
        return Driven(transfer, response)

    async def _next_fact(self, transfer: Transfer) -> Fact | None:
        """Ask until an answer is a fact; None: ask again later. Each such fact has a row."""
        step, refusal = saga.FIRST_STEP[transfer.state], ""
        for _ in range(STEPS_MAX):
            answer = await self._ask[step](transfer)
            refusal = answer.reason or refusal
            following = saga.after_answer(step, answer, refusal)
            if isinstance(following, Step):
                step = following
            elif following is None or not saga.is_of_another(transfer, following):
                return following
            else:
                break
        # Nothing is posted on its word; a person looks, and it may think better of it meanwhile.
        log.error("saga.contradiction", transfer_id=str(transfer.transfer_id), last=step.name)
        return None

    async def save(
        self, transfer: Transfer, fact: Fact, notice_id: str | None = None
    ) -> tuple[Transfer, bytes | None]:
        """Save what a fact makes of a transfer; return it as it stands now, moved on or not."""
        moved, transition = after(transfer, fact, utc_now())
        response = None if transition.frees_key else mapping.response_bytes(moved)
        kept = response if moved.state not in PENDING else None
        advanced, accepted = await self._store.advance(
            moved, transition, self._look_again(moved.state), response=kept, notice_id=notice_id
        )
        if advanced:
            return moved, accepted
        held = await self._store.transfer(transfer.transfer_id)
        if held is None:
            raise LookupError(f"transfer {transfer.transfer_id} is gone")
        return held.transfer, held.accepted_response

    def _look_again(self, state: State) -> datetime:
        """Return until when nobody takes the transfer up: its lease, or the wait for a notice."""
        wait_s = self.settlement_wait_s if state is State.SUBMITTED else LEASE_S
        return utc_now() + timedelta(seconds=wait_s)

    async def _postpone(self, transfer: Transfer) -> None:
        wait = timedelta(seconds=saga.retry_after_s(transfer))
        await self._store.postpone(transfer, utc_now() + wait)

    async def resume(self) -> None:
        """Take up what is due; at first and after an outage also what this slot left behind."""
        if not self._released:
            await self._store.release_leases(self._slot, utc_now())
            self._released = True
        for transfer in await self._store.claim_due(self.lease(), utc_now()):
            self.start(transfer)
