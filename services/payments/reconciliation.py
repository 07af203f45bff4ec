"""Asks the clearing house for what it should have settled long ago: its notice may be lost.

What an answer means is decided in saga.py. What it tells is kept and applied as a notice is, so
of the answer and a notice that comes after all one is applied and the other changes nothing.
"""

import asyncio
from datetime import timedelta

import structlog

from services.kernel.clock import utc_now
from services.payments import handlers, saga
from services.payments.handlers import Dependencies
from services.payments.saga import Answer, NoticeVerdict, Outcome
from services.payments.transfer import Fact, Notice, Transfer

ROWS_MAX = 16
"""Transfers asked for at once."""

EVERY_S = 5.0

log = structlog.get_logger()


async def ask_for_unsettled(deps: Dependencies) -> None:
    """Ask for all that is due, some at once, until none is left or nobody answers."""
    while True:
        due = await deps.store.claim_unsettled(deps.driver.lease(), utc_now(), ROWS_MAX)
        answered = await asyncio.gather(*(_ask(deps, transfer) for transfer in due))
        if len(due) < ROWS_MAX or not any(answered):
            return


async def _ask(deps: Dependencies, transfer: Transfer) -> bool:
    """Ask for one and act on it; say whether there was an answer."""
    answer = await deps.ach.query(transfer)
    told = saga.after_late_query(transfer, answer)
    if isinstance(told, Notice):
        log.warning(
            "reconciliation.notice_missed", transfer_id=str(transfer.transfer_id), type=told.type
        )
        await handlers.receive_notice(deps, told)
    elif isinstance(told, Fact):
        log.warning("reconciliation.recalled", transfer_id=str(transfer.transfer_id))
        moved, _ = await deps.driver.save(transfer, told)
        deps.driver.start(moved)
    elif told is NoticeVerdict.CONFLICT:
        await _put_aside(deps, transfer, answer)
    else:
        wait_s = saga.ask_again_after_s(transfer, answer, deps.driver.settlement_wait_s)
        await deps.store.postpone(transfer, utc_now() + timedelta(seconds=wait_s))
    return answer.outcome is not Outcome.NO_ANSWER


async def _put_aside(deps: Dependencies, transfer: Transfer, answer: Answer) -> None:
    """Leave a contradiction to a person, unless the transfer has moved on since it was asked."""
    told = Notice(
        notice_id=f"query/{transfer.transfer_id}/conflict",
        type=f"transfer.{answer.outcome.name.lower()}",
        trace_number=answer.trace_number,
        transfer_id=transfer.transfer_id,
        return_code=answer.return_code,
    )
    if await deps.store.put_aside(transfer, told):
        log.error(
            "reconciliation.conflict",
            transfer_id=str(transfer.transfer_id),
            answer=answer.outcome.name,
        )
