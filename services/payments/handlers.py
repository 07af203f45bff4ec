"""The commands and queries of payments, one async function each: load, decide, save.

checks.py, saga.py and state.py decide; store.py saves.
"""

import asyncio
import time
import uuid
from typing import NamedTuple

import structlog

from services.chassis.call_context import note_replay
from services.chassis.page_tokens import page_rows, query_digest
from services.chassis.step_up import refuse_old_factor
from services.chassis.tasks import joint_tasks
from services.contracts import StepUpRule
from services.kernel.clock import utc_now
from services.kernel.errors import AccountBusy, BankError, IdempotencyKeyReused, RequestInProgress
from services.kernel.ids import new_id, shard_of
from services.kernel.time_range import ANY_TIME, TimeRange
from services.ledger import refusals as ledger_refusals
from services.payments import checks, errors, mapping, notices, webhook
from services.payments.attempt import Attempt
from services.payments.dependencies import Dependencies
from services.payments.driver import Driven
from services.payments.rows import Debit
from services.payments.state import DEBIT, PENDING, TABLE, Event, State
from services.payments.transfer import (
    Decline,
    Fact,
    InterbankTransferOrder,
    Requester,
    Transfer,
    debited,
)

REPLAY_POLL_S = 0.1
"""How often a replay reads the transfer while another worker drives it."""

NOT_SCORED = checks.Score(checks.Decision.APPROVE)
"""The score of an order that is refused for its old second factor."""

log = structlog.get_logger()


class Started(NamedTuple):
    """The outcome of a debit, and the task of the saga that it started."""

    debit: Debit
    saga_task: "asyncio.Task[Driven] | None"


async def create_interbank_transfer(
    deps: Dependencies, order: InterbankTransferOrder, unmet: StepUpRule | None
) -> bytes:
    """Debit and submit; return the serialised answer. A replay returns the first answer.

    The key is looked up before any other service is called, so a replay needs no other service.
    `unmet` is the method's step-up rule if the caller's second factor is too old for it. Errors in
    the order come before a missing second factor, so a customer presents it only for an order that
    the bank can make.
    """
    refusal = checks.refuse_order(order, deps.limits, deps.settings.routing_number)
    replayed = await _replay_of_key(deps, order)
    if replayed is not None:
        return replayed
    if refusal is not None:
        if checks.is_recorded(refusal):
            answer = await deps.customers.check_debit(order.customer_id, order.account_id)
            if not mapping.account_facts(answer).exists:
                raise refusal
        raise await _on_record(deps, order, refusal)
    old_factor = await refuse_old_factor(
        unmet,
        minor_units=order.amount.minor_units,
        is_new_beneficiary=lambda: deps.store.beneficiaries.is_new(order),
    )
    account, score, takes_part = await _facts_of(deps, order, is_scored=old_factor is None)
    refusal = checks.refuse_facts(order, account, score, takes_part=takes_part, limits=deps.limits)
    refusal = refusal or old_factor
    if refusal is not None:
        # Another request with this key may have been accepted in the meantime; it stays accepted.
        replayed = await _replay_of_key(deps, order)
        if replayed is None:
            raise await _on_record(deps, order, refusal)
        return replayed
    review = checks.needs_review(score)
    transfer_id = new_id(shard_of(order.account_id))
    transfer = debited(order, transfer_id, fraud_review=review, now=utc_now())
    debit, saga_task = await _debit(deps, order, transfer)
    if debit.outcome == "REUSED":
        # The key was taken after the lookup above: perhaps by an earlier version, for this request.
        replayed = await _replay_of_key(deps, order)
        if replayed is None:
            raise IdempotencyKeyReused
        return replayed
    if saga_task is None:
        return await _replay(deps, order.customer_id, debit.transfer_id)
    return await _answer(deps, saga_task, transfer)


async def _facts_of(
    deps: Dependencies, order: InterbankTransferOrder, *, is_scored: bool
) -> tuple[checks.AccountFacts, checks.Score, bool]:
    """Return the account, the score, and whether the beneficiary's bank takes part.

    An order that lacks a second factor is not scored, because the fraud service would count it.
    """
    async with joint_tasks() as tasks:
        check = deps.customers.check_debit(order.customer_id, order.account_id)
        debit_check = tasks.create_task(check)
        score = tasks.create_task(deps.fraud.score(order)) if is_scored else None
        takes_part = tasks.create_task(deps.ach.takes_part(order.beneficiary.routing_number))
    account = mapping.account_facts(debit_check.result())
    return account, score.result() if score else NOT_SCORED, takes_part.result()


async def _on_record(
    deps: Dependencies, order: InterbankTransferOrder, refusal: BankError
) -> BankError:
    """Return the refusal; record it if a control of the bank caused it.

    The account must be the customer's. The record commits before the caller gets the refusal. A
    repeated order has one record.
    """
    if checks.is_recorded(refusal):
        home = shard_of(order.account_id)
        decline = Decline(new_id(home), order, refusal.reason, utc_now())
        event = mapping.decline_event(decline, new_id(home))
        if await deps.store.declines.record(decline, event):
            declined = {"decline_id": str(decline.decline_id), "error_reason": refusal.reason}
            log.info("order.declined", **declined)
    return refusal


async def _debit(deps: Dependencies, order: InterbankTransferOrder, transfer: Transfer) -> Started:
    """Debit an order and start its saga, even if the caller gives up once the debit has begun."""
    attempt = Attempt()
    task = deps.driver.carry_through(_debit_and_start(deps, order, transfer, attempt), attempt)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if attempt.abandon():
            task.cancel()
        raise
    except ledger_refusals.InsufficientFunds:
        raise errors.InsufficientFunds from None
    except ledger_refusals.AccountUnknown:
        raise errors.AccountNotFound from None


async def _debit_and_start(
    deps: Dependencies, order: InterbankTransferOrder, transfer: Transfer, attempt: Attempt
) -> Started:
    event_id = new_id(shard_of(transfer.transfer_id))
    event = mapping.event_out(transfer, DEBIT.event_type, event_id)
    try:
        debit = await deps.store.debit(order, transfer, event, deps.driver.lease(), attempt)
    except AccountBusy as busy:
        debit = await _debit_of_key(deps, order, transfer)
        if debit is None:
            if attempt.lost is None:
                raise
            # The answer was lost, but the statement may still commit, so the driver looks for it.
            raise attempt.lost from busy
    saga_task = deps.driver.start(transfer) if debit.outcome == "DEBITED" else None
    if saga_task is not None and transfer.fraud_review:
        log.warning("order.in_review", transfer_id=str(transfer.transfer_id))
    return Started(debit, saga_task)


async def _debit_of_key(
    deps: Dependencies, order: InterbankTransferOrder, transfer: Transfer
) -> Debit | None:
    """Return the outcome of a debit by its key, or None if the key is free."""
    used = await deps.store.key(order)
    if used is None:
        return None
    if used.transfer_id == transfer.transfer_id:
        return Debit("DEBITED", used.transfer_id)
    same = used.fingerprint == order.fingerprint
    return Debit("EXISTING" if same else "REUSED", used.transfer_id)


async def _replay_of_key(deps: Dependencies, order: InterbankTransferOrder) -> bytes | None:
    """Return the answer of the transfer that has the order's key, or None if the key is free.

    An accepted request stays accepted, even if the bank would refuse it today.
    """
    used = await deps.store.key(order)
    if used is None:
        return None
    if not order.is_for(used.fingerprint):
        raise IdempotencyKeyReused
    return await _replay(deps, order.customer_id, used.transfer_id)


async def _wait(deps: Dependencies, customer_id: uuid.UUID, task: "asyncio.Task[Driven]") -> None:
    """Wait for the saga up to `answer_wait_s`, or not at all if too many calls wait already.

    The saga continues in any case.
    """
    with deps.waits.place(customer_id) as may_wait:
        if may_wait:
            await asyncio.wait({task}, timeout=deps.settings.answer_wait_s)


async def _answer(deps: Dependencies, task: "asyncio.Task[Driven]", transfer: Transfer) -> bytes:
    """Wait for the saga; return the first answer: the current state if the saga has not ended."""
    await _wait(deps, transfer.customer_id, task)
    if not task.done():
        stored = await deps.store.transfer(transfer.transfer_id)
        return await _keep_answer(deps, stored.transfer if stored else transfer)
    driven = task.result()
    return driven.response or await _keep_answer(deps, driven.transfer)


async def _keep_answer(deps: Dependencies, transfer: Transfer) -> bytes:
    """Return the first answer to the key. If there is none yet, this transfer becomes the answer.

    From then on the key stays in use. If the transfer has failed without an answer, its key is
    free, and this raises the error of a compensated transfer.
    """
    response = mapping.response_bytes(transfer)
    answer = await deps.store.keep_response(transfer.transfer_id, response)
    if answer is not None:
        return answer
    if transfer.state is not State.FAILED:
        stored = await deps.store.transfer(transfer.transfer_id)
        transfer = stored.transfer if stored else transfer
    raise errors.compensated(transfer.failure_reason, str(transfer.transfer_id))


async def _replay(deps: Dependencies, customer_id: uuid.UUID, transfer_id: uuid.UUID) -> bytes:
    """Return the first answer; wait for it while the first request is in flight.

    If the wait ends first, the answer is the transfer in its current state. Then this worker asks
    the clearing house once too, because the worker that began it may have stopped; it asks further
    only with the transfer's lease. If too many calls wait
    already, this one raises RequestInProgress: the first answer is up to the first request, which
    may still wait.
    """
    with deps.waits.place(customer_id) as may_wait:
        return await _replay_within(deps, transfer_id, may_wait=may_wait)


async def _replay_within(deps: Dependencies, transfer_id: uuid.UUID, *, may_wait: bool) -> bytes:
    wait_s = deps.settings.answer_wait_s if may_wait else 0
    task = deps.driver.running(transfer_id)
    if task is not None:
        await asyncio.wait({task}, timeout=wait_s)
    # Having waited for its own task, this process reads the transfer only once.
    deadline = asyncio.get_running_loop().time() + (0 if task else wait_s)
    while True:
        stored = await deps.store.transfer(transfer_id)
        if stored is not None and stored.accepted_response is not None:
            note_replay()
            return stored.accepted_response
        if stored is not None and stored.transfer.state is State.FAILED:
            raise errors.compensated(stored.transfer.failure_reason, str(transfer_id))
        if asyncio.get_running_loop().time() >= deadline:
            if stored is None or not may_wait:
                raise RequestInProgress
            deps.driver.start(stored.transfer)
            answer = await _keep_answer(deps, stored.transfer)
            note_replay()
            return answer
        await asyncio.sleep(REPLAY_POLL_S)


async def get_interbank_transfer(
    deps: Dependencies, customer_id: uuid.UUID, transfer_id: uuid.UUID
) -> Transfer:
    """Return a transfer of the customer; raise TransferNotFound."""
    stored = await deps.store.transfer(transfer_id)
    if stored is None or stored.transfer.customer_id != customer_id:
        raise errors.TransferNotFound
    return stored.transfer


async def list_interbank_transfers(
    deps: Dependencies,
    customer_id: uuid.UUID,
    account_id: uuid.UUID,
    *,
    state: State | None,
    created: TimeRange = ANY_TIME,
    page_size: int,
    page_token: str,
) -> tuple[list[Transfer], str]:
    """Return one page of an account's transfers and the token of the next, "" on the last.

    Raises AccountNotFound for an account that is not the customer's, and PageTokenInvalid.
    """
    digest = _list_digest(customer_id, account_id, state, created)
    rows = page_rows(page_size)
    cursor = deps.tokens.open(page_token, digest)
    # The owner is checked first, because reading for the wrong customer scans the whole account.
    within_s = deps.settings.list_check_timeout_s
    answer = await deps.customers.check_debit(customer_id, account_id, within_s=within_s)
    if not mapping.account_facts(answer).exists:
        raise errors.AccountNotFound
    transfers = await deps.store.transfers_of_account(
        customer_id, account_id, state=state, created=created, cursor=cursor, rows=rows + 1
    )
    if len(transfers) <= rows:
        return transfers, ""
    return transfers[:rows], deps.tokens.seal(digest, transfers[rows - 1].transfer_id)


def _list_digest(
    customer_id: uuid.UUID, account_id: uuid.UUID, state: State | None, created: TimeRange
) -> bytes:
    state_name = state.value if state else None
    return query_digest(
        *("ListInterbankTransfers", customer_id, account_id, state_name),
        time_from=created.time_from,
        time_to=created.time_to,
    )


async def cancel_interbank_transfer(
    deps: Dependencies, customer_id: uuid.UUID, transfer_id: uuid.UUID
) -> Transfer:
    """Cancel a transfer that the clearing house has not sent yet; idempotent.

    Raises TransferNotFound and NotCancellable.
    """
    transfer = await get_interbank_transfer(deps, customer_id, transfer_id)
    # A caller that gives up must not leave the transfer CANCELLING until its lease ends.
    cancelling = deps.driver.carry_through(_cancel_and_start(deps, transfer), Attempt())
    saga_task = await asyncio.shield(cancelling)
    if saga_task is not None:
        await _wait(deps, customer_id, saga_task)
    transfer = await get_interbank_transfer(deps, customer_id, transfer_id)
    if transfer.state not in PENDING | {State.CANCELLED}:
        raise errors.not_cancellable(transfer.state.value)
    return transfer


async def request_cancellation(
    deps: Dependencies, transfer: Transfer, requester: Requester
) -> Transfer:
    """Save that a transfer is to be cancelled; return it in CANCELLING or CANCELLED.

    Raises NotCancellable.
    """
    while transfer.state not in {State.CANCELLING, State.CANCELLED}:
        if not TABLE.allows(transfer.state, Event.CANCEL_ASKED):
            raise errors.not_cancellable(transfer.state.value)
        asked = Fact(Event.CANCEL_ASKED, requester=requester)
        transfer, _ = await deps.driver.save(transfer, asked)
    return transfer


async def _cancel_and_start(
    deps: Dependencies, transfer: Transfer
) -> "asyncio.Task[Driven] | None":
    """Make a transfer CANCELLING and return its saga's task, or None if it is CANCELLED already."""
    transfer = await request_cancellation(deps, transfer, Requester.CUSTOMER)
    return deps.driver.start(transfer) if transfer.state is State.CANCELLING else None


async def receive_ach_webhook(deps: Dependencies, signature: str, body: bytes) -> None:
    """Take in the notice of a webhook; returns only when its effect is durable.

    Raises WebhookSignatureInvalid and WebhookMalformed. Also raises AccountBusy; the notice is then
    kept and applied later.
    """
    now_s = int(time.time())
    try:
        webhook.require_signature(signature, body, deps.webhook_secrets.valid, now_s)
    except errors.WebhookSignatureInvalid:
        if not await deps.webhook_secrets.refresh_after_refusal():
            raise
        webhook.require_signature(signature, body, deps.webhook_secrets.valid, now_s)
    await notices.take_in_notice(deps, webhook.read_notice(body))
