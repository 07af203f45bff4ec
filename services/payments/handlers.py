"""The commands and questions of payments: load, decide, save. One async function each.

What is decided stands in checks.py, saga.py and state.py; what is saved, in store.py.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from services.chassis.grpc_client import answered_within
from services.chassis.page_tokens import DEFAULT_PAGE_SIZE, PageTokens, query_digest
from services.kernel.clock import utc_now
from services.kernel.errors import IdempotencyKeyReused, RequestInProgress
from services.kernel.ids import new_id, shard_of
from services.ledger import refusals as ledger_refusals
from services.payments import checks, errors, mapping, saga
from services.payments.checks import AccountFacts, Limits
from services.payments.customers import LIST_TIMEOUT_S
from services.payments.driver import Driven, Driver
from services.payments.partners.ach import AchClient
from services.payments.partners.fraud import FraudClient
from services.payments.saga import NoticeVerdict
from services.payments.state import PENDING, TABLE, Event, State
from services.payments.store import Store, StoredTransfer
from services.payments.transfer import Fact, InterbankTransferOrder, Notice, Transfer, debited

LOOK_AGAIN_S = 0.1
"""How often a second request looks at a transfer that another worker drives."""

log = structlog.get_logger()

AskAccount = Callable[[uuid.UUID, uuid.UUID], Awaitable[AccountFacts]]


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the handlers work with."""

    store: Store
    driver: Driver
    ach: AchClient
    fraud: FraudClient
    ask_account: AskAccount
    limits: Limits
    tokens: PageTokens
    wait_s: float
    """How long a caller waits for the clearing house before the answer is the state as it is."""


async def create_transfer(deps: Dependencies, order: InterbankTransferOrder) -> bytes:
    """Debit and submit; return the answer's bytes, those of the first answer on a replay."""
    refusal = checks.refuse_order(order, deps.limits)
    if refusal is not None:
        return await _replay_or(deps, order, refusal)
    transfer_id = new_id(shard_of(order.account_id))
    account, score, takes_part = await asyncio.gather(
        deps.ask_account(order.customer_id, order.account_id),
        deps.fraud.score(order, str(transfer_id)),
        deps.ach.takes_part(order.beneficiary.routing_number),
    )
    refusal = checks.refuse_facts(order, account, score, takes_part=takes_part, limits=deps.limits)
    if refusal is not None:
        return await _replay_or(deps, order, refusal)
    review = checks.needs_review(score)
    transfer = debited(order, transfer_id, fraud_review=review, now=utc_now())
    try:
        debit = await deps.store.debit(order, transfer, deps.driver.lease())
    except ledger_refusals.InsufficientFunds:
        raise errors.InsufficientFunds from None
    except ledger_refusals.AccountUnknown:
        raise errors.AccountNotFound from None
    if debit.outcome == "REUSED":
        raise IdempotencyKeyReused
    if debit.outcome == "EXISTING":
        return await _replay(deps, debit.transfer_id)
    return await _answer(deps, deps.driver.start(transfer), transfer)


async def _replay_or(
    deps: Dependencies, order: InterbankTransferOrder, refusal: Exception
) -> bytes:
    """Replay what the key stands for; what was accepted stays so, whatever is refused now."""
    known = await deps.store.key(order)
    if known is None:
        raise refusal
    transfer_id, fingerprint = known
    if fingerprint != order.fingerprint:
        raise IdempotencyKeyReused
    return await _replay(deps, transfer_id)


async def _answer(deps: Dependencies, task: "asyncio.Task[Driven]", transfer: Transfer) -> bytes:
    """Wait for the saga, but not for ever; the saga itself goes on in any case."""
    done, _ = await asyncio.wait({task}, timeout=deps.wait_s)
    if not done:
        held = await deps.store.transfer(transfer.transfer_id)
        now = held.transfer if held else transfer
        if now.state is State.FAILED:
            raise errors.compensated(now.failure_reason, str(now.transfer_id))
        return await deps.store.keep_response(now.transfer_id, mapping.response_bytes(now))
    driven = task.result()
    if driven.transfer.state is State.FAILED:
        raise errors.compensated(driven.transfer.failure_reason, str(transfer.transfer_id))
    return driven.response or await deps.store.keep_response(
        transfer.transfer_id, mapping.response_bytes(driven.transfer)
    )


async def _replay(deps: Dependencies, transfer_id: uuid.UUID) -> bytes:
    """Return the first answer; wait for it while the first request is still under way."""
    task = deps.driver.running(transfer_id)
    if task is not None:
        await asyncio.wait({task}, timeout=deps.wait_s)
    deadline = asyncio.get_running_loop().time() + (0 if task else deps.wait_s)
    while True:
        held = await deps.store.transfer(transfer_id)
        if held is not None and held.transfer.state is State.FAILED:
            raise errors.compensated(held.transfer.failure_reason, str(transfer_id))
        if held is not None and held.accepted_response is not None:
            return held.accepted_response
        if asyncio.get_running_loop().time() >= deadline:
            raise RequestInProgress
        await asyncio.sleep(LOOK_AGAIN_S)


async def _own(
    deps: Dependencies, customer_id: uuid.UUID, transfer_id: uuid.UUID
) -> StoredTransfer:
    held = await deps.store.transfer(transfer_id)
    if held is None or held.transfer.customer_id != customer_id:
        raise errors.TransferNotFound
    return held


async def get_transfer(
    deps: Dependencies, customer_id: uuid.UUID, transfer_id: uuid.UUID
) -> Transfer:
    """Return a transfer of the customer."""
    return (await _own(deps, customer_id, transfer_id)).transfer


async def list_transfers(
    deps: Dependencies,
    customer_id: uuid.UUID,
    account_id: uuid.UUID,
    *,
    state: str | None,
    page_size: int,
    page_token: str,
) -> tuple[list[Transfer], str]:
    """Return one page of an account's transfers and the token of the next, "" on the last.

    Raises AccountNotFound for an account that is not the customer's.
    """
    digest = query_digest("ListInterbankTransfers", customer_id, account_id, state)
    size = page_size or DEFAULT_PAGE_SIZE
    found = await deps.store.transfers_of_account(
        customer_id,
        account_id,
        state=state,
        cursor=deps.tokens.open(page_token, digest),
        rows=size + 1,
    )
    # Rows are the customer's own, so only an empty page leaves open whose the account is.
    if not found:
        asked = deps.ask_account(customer_id, account_id)
        if not (await answered_within(asked, LIST_TIMEOUT_S)).exists:
            raise errors.AccountNotFound
    page = found[:size]
    more = len(found) > size
    return page, deps.tokens.seal(digest, page[-1].transfer_id) if more else ""


async def cancel_transfer(
    deps: Dependencies, customer_id: uuid.UUID, transfer_id: uuid.UUID
) -> Transfer:
    """Cancel a transfer that has not left; idempotent."""
    transfer = (await _own(deps, customer_id, transfer_id)).transfer
    while transfer.state not in {State.CANCELLING, State.CANCELLED}:
        if not TABLE.allows(transfer.state, Event.CANCEL_ASKED):
            raise errors.NotCancellable
        transfer, _ = await deps.driver.save(transfer, Fact(Event.CANCEL_ASKED))
    if transfer.state is State.CANCELLED:
        return transfer
    task = deps.driver.start(transfer)
    await asyncio.wait({task}, timeout=deps.wait_s)
    transfer = (await _own(deps, customer_id, transfer_id)).transfer
    if transfer.state not in PENDING | {State.CANCELLED}:
        raise errors.NotCancellable
    return transfer


async def receive_notice(deps: Dependencies, notice: Notice) -> None:
    """Keep a notice and apply it; returns only when that is durable."""
    if await deps.store.keep_notice(notice) == "KEPT":
        await apply_notice(deps, notice)


async def match_kept_notices(deps: Dependencies) -> None:
    """Apply the kept notices whose transfers have turned up since."""
    for notice in await deps.store.matching_notices():
        await apply_notice(deps, notice)


async def apply_notice(deps: Dependencies, notice: Notice) -> None:
    """Apply a kept notice to its transfer; one whose transfer is unknown stays kept."""
    held = await _transfer_of(deps, notice)
    if held is None:
        log.warning("webhook.unmatched", notice_id=notice.notice_id)
        return
    fact = saga.fact_of_notice(notice)
    if fact is None:
        raise errors.WebhookMalformed
    transfer = held.transfer
    while True:
        legal = TABLE.allows(transfer.state, fact.event)
        match saga.judge_notice(transfer, fact, legal=legal):
            case NoticeVerdict.APPLY:
                before = transfer.version
                transfer, _ = await deps.driver.save(transfer, fact, notice.notice_id)
                if transfer.version == before + 1 and transfer.state in _outcome(fact):
                    return
            case judged:
                if judged is NoticeVerdict.CONFLICT:
                    log.error("webhook.conflict", transfer_id=str(transfer.transfer_id))
                await deps.store.close_notice(notice, judged.name)
                return


def _outcome(fact: Fact) -> frozenset[State]:
    return frozenset({State.COMPLETED if fact.event is Event.COMPLETED else State.RETURNED})


async def _transfer_of(deps: Dependencies, notice: Notice) -> StoredTransfer | None:
    held = await deps.store.transfer(notice.transfer_id) if notice.transfer_id else None
    if held is not None or not notice.trace_number:
        return held
    transfer_id = await deps.store.transfer_by_trace(notice.trace_number)
    return await deps.store.transfer(transfer_id) if transfer_id else None
