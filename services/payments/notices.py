"""The clearing house's notices: received, kept until their transfer is known, and applied.

webhook.py reads a notice, saga.py decides what it changes, and store.py saves it.
"""

import uuid
from datetime import timedelta

import structlog

from services.kernel.clock import utc_now
from services.payments import errors, saga, webhook
from services.payments.dependencies import Dependencies
from services.payments.saga import NoticeVerdict
from services.payments.state import TABLE, Event, State
from services.payments.store import BUSY
from services.payments.transfer import Fact, Notice, Transfer

NOTICE_WAIT = timedelta(days=10)
"""How long a notice waits for its transfer. A transfer exists before it is sent, so a notice
without one belongs to a different bank, or to data that this bank has lost."""

log = structlog.get_logger()


async def take_in_notice(deps: Dependencies, notice: Notice) -> None:
    """Keep a notice and apply it, unless the same notice was applied before.

    A notice of an unknown type, or with the id of a different notice, is kept for an operator.
    """
    kept = await deps.store.notices.keep(notice)
    if kept == "REUSED":
        log.error("webhook.notice_id_reused", notice_id=notice.notice_id, type=notice.type)
        await deps.store.notices.keep_conflict(webhook.reused(notice))
        if notice.transfer_id is not None:
            # If it is a late return, the clearing house's own answer credits the customer.
            # A repeated notice does not postpone the check.
            await deps.store.check_return_by(notice.transfer_id, utc_now() + webhook.REUSED_ID_WAIT)
    elif kept == "KEPT" and saga.fact_of_notice(notice) is None:
        log.warning("webhook.unknown_type", notice_id=notice.notice_id, type=notice.type)
    elif kept == "KEPT":
        await apply_notice(deps, notice)


async def match_kept_notices(deps: Dependencies) -> None:
    """Apply the kept notices that have a transfer by now.

    A notice of a type that only another version knows is kept for that version. A notice about an
    account that another transaction holds is kept for a later run. Only the first notice about this
    account waits for the lock, so that many of them do not delay the notices of others.
    """
    held: set[uuid.UUID] = set()
    async for notice in deps.store.notices.matching([*saga.NOTICE_TYPES.values()]):
        transfer = await _transfer_of(deps, notice)
        if transfer is None or transfer.account_id in held:
            continue
        try:
            await _apply(deps, notice, transfer)
        except BUSY:
            held.add(transfer.account_id)
            log.warning("webhook.account_busy", notice_id=notice.notice_id)


async def give_up_old_notices(deps: Dependencies) -> None:
    """Set notices to CONFLICT, for an operator, if they matched no transfer for `NOTICE_WAIT`."""
    types = [*saga.NOTICE_TYPES.values()]
    for notice in await deps.store.notices.give_up(utc_now() - NOTICE_WAIT, types):
        log.error("webhook.never_matched", notice_id=notice.notice_id, type=notice.type)


async def apply_notice(deps: Dependencies, notice: Notice) -> None:
    """Apply a kept notice to its transfer; keep it if the transfer is unknown."""
    transfer = await _transfer_of(deps, notice)
    if transfer is not None:
        await _apply(deps, notice, transfer)


async def _transfer_of(deps: Dependencies, notice: Notice) -> Transfer | None:
    """Return the transfer of a notice; close a notice that fits several transfers."""
    transfer_id = notice.transfer_id
    if transfer_id is None and notice.trace_number:
        known = await deps.store.transfers_by_trace(notice.trace_number)
        found = saga.transfer_of_trace(known, saga.fact_of_notice(notice))
        if found is NoticeVerdict.CONFLICT:
            log.error("webhook.ambiguous", notice_id=notice.notice_id)
            await deps.store.notices.close(notice, found.name)
            return None
        transfer_id = found
    stored = await deps.store.transfer(transfer_id) if transfer_id else None
    if stored is None:
        log.warning("webhook.unmatched", notice_id=notice.notice_id)
        return None
    return stored.transfer


async def _apply(deps: Dependencies, notice: Notice, transfer: Transfer) -> None:
    fact = saga.fact_of_notice(notice)
    if fact is None:
        raise errors.WebhookMalformed
    while True:
        legal = TABLE.allows(transfer.state, fact.event)
        match saga.judge_notice(transfer, fact, legal=legal):
            case NoticeVerdict.APPLY:
                version = transfer.version
                transfer, _ = await deps.driver.save(transfer, fact, notice.notice_id)
                # If this call did not save it, another worker moved the transfer: decide again.
                if transfer.version == version + 1 and transfer.state is _state_after(fact):
                    return
            case verdict:
                if verdict is NoticeVerdict.CONFLICT:
                    log.error("webhook.conflict", transfer_id=str(transfer.transfer_id))
                await deps.store.notices.close(notice, verdict.name)
                return


def _state_after(fact: Fact) -> State:
    return State.COMPLETED if fact.event is Event.COMPLETED else State.RETURNED
