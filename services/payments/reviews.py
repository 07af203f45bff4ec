"""Carries out and reports what reviewers decided: a refused transfer is cancelled if possible.

`bpctl reviews` records a decision; a worker takes it up. Nothing here decides for a person.
"""

from dataclasses import replace

import structlog

from services.kernel.ids import new_id, shard_of
from services.payments import errors, handlers, mapping
from services.payments.dependencies import Dependencies
from services.payments.state import CREDITED_BACK, State
from services.payments.store import BUSY
from services.payments.transfer import Requester, Review, Transfer

EVERY_S = 5
"""How often a worker looks for decisions."""

log = structlog.get_logger()


async def take_up_decisions(deps: Dependencies) -> None:
    """Carry out the refusals among the new decisions, and write the event of each decision.

    After a crash, a decision is handled again. That is harmless, because no second cancellation is
    requested and each decision gets one event. If another transaction holds the transfer of a
    decision, the next run handles the decision.
    """
    async for review in deps.store.unreported_reviews():
        try:
            await _take_up(deps, review)
        except BUSY:
            log.warning("review.account_busy", transfer_id=str(review.transfer_id))


async def _take_up(deps: Dependencies, review: Review) -> None:
    stored = await deps.store.transfer(review.transfer_id)
    if stored is None:
        raise LookupError(f"transfer {review.transfer_id} does not exist")
    if review.effect == "REQUESTED":
        review = replace(review, effect=await _cancel(deps, stored.transfer))
    event_id = new_id(shard_of(review.transfer_id))
    event = mapping.review_event(review, stored.transfer, event_id)
    if await deps.store.report_review(review, event):
        decided = {"decision": review.decision, "effect": review.effect}
        log.warning("review.decided", transfer_id=str(review.transfer_id), **decided)


async def _cancel(deps: Dependencies, transfer: Transfer) -> str:
    """Request the cancellation of a transfer; return the effect as payments.review_decision has it.

    The effect CANCELLING does not mean that the clearing house agrees. The transfer's next state
    shows whether it does.
    """
    try:
        transfer = await handlers.request_cancellation(deps, transfer, Requester.BANK)
    except errors.NotCancellable:
        stored = await deps.store.transfer(transfer.transfer_id)
        ended = stored is not None and stored.transfer.state in CREDITED_BACK
        return "NOT_NEEDED" if ended else "TOO_LATE"
    if transfer.state is State.CANCELLING:
        deps.driver.start(transfer)
    elif transfer.cancel_requester is not Requester.BANK:
        return "NOT_NEEDED"
    return "CANCELLING"
