"""Carries out what a reviewer refused: the transfer is cancelled if it can still be cancelled.

`bpctl reviews refuse` records the refusal; a worker takes it up. Nothing here decides for a person.
"""

import uuid

import structlog

from services.kernel.errors import AccountBusy
from services.payments import errors, handlers
from services.payments.handlers import Dependencies
from services.payments.state import CREDITED_BACK

EVERY_S = 5
"""How often a worker looks for refusals."""

log = structlog.get_logger()


async def carry_out_refusals(deps: Dependencies) -> None:
    """Take up the refusals that no worker has taken up yet.

    After a crash a refusal is taken up again, which is harmless: a transfer that is already
    CANCELLING is not asked about twice. A refusal whose transfer another transaction holds is
    taken up in the next run.
    """
    for transfer_id in await deps.store.refused_reviews():
        try:
            effect = await _cancel(deps, transfer_id)
        except AccountBusy:
            log.warning("review.account_busy", transfer_id=str(transfer_id))
            continue
        await deps.store.set_review_effect(transfer_id, effect)
        log.warning("review.refused", transfer_id=str(transfer_id), effect=effect)


async def _cancel(deps: Dependencies, transfer_id: uuid.UUID) -> str:
    """Request the cancellation of a transfer; return the effect as payments.review_decision has it.

    CANCELLING does not say that the clearing house agrees: the transfer's state will.
    """
    stored = await deps.store.transfer(transfer_id)
    if stored is None:
        raise LookupError(f"transfer {transfer_id} does not exist")
    try:
        deps.driver.start(await handlers.request_cancellation(deps, stored.transfer))
    except errors.NotCancellable:
        stored = await deps.store.transfer(transfer_id)
        ended = stored is not None and stored.transfer.state in CREDITED_BACK
        return "NOT_NEEDED" if ended else "TOO_LATE"
    return "CANCELLING"
