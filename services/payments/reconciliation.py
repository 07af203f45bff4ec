"""Asks the clearing house about transfers whose notice is overdue: the notice may be lost.

saga.py decides what an answer means. An answer is kept and applied like a notice, so a notice
that arrives later changes nothing.
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
"""Transfers in one batch of concurrent queries."""

EVERY_S = 5.0

log = structlog.get_logger()


async def ask_for_unsettled(deps: Dependencies) -> None:
    """Ask about the transfers that are due, in batches; stop early if a batch gets no answer."""
    while True:
        due = await deps.store.claim_unsettled(deps.driver.lease(), utc_now(), ROWS_MAX)
        answered = await asyncio.gather(*(_ask(deps, transfer) for transfer in due))
        if len(due) < ROWS_MAX or not any(answered):
            return


async def _ask(deps: Dependencies, transfer: Transfer) -> bool:
    """Ask about one transfer and act on the answer; return whether there was one."""
    answer = await deps.ach.query(transfer)
    finding = saga.after_late_query(transfer, answer)
    transfer_id = str(transfer.transfer_id)
    if isinstance(finding, Notice):
        log.warning("reconciliation.notice_missed", transfer_id=transfer_id, type=finding.type)
        await handlers.take_in_notice(deps, finding)
    elif isinstance(finding, Fact):
        log.warning("reconciliation.recalled", transfer_id=transfer_id)
        moved, _ = await deps.driver.save(transfer, finding)
        deps.driver.start(moved)
    elif finding is NoticeVerdict.CONFLICT:
        await _put_aside(deps, transfer, answer)
    else:
        wait_s = saga.ask_again_after_s(transfer, answer, deps.driver.settlement_wait_s)
        await deps.store.postpone(transfer, utc_now() + timedelta(seconds=wait_s))
    return answer.outcome is not Outcome.NO_ANSWER


async def _put_aside(deps: Dependencies, transfer: Transfer, answer: Answer) -> None:
    """Leave a contradiction to a person, unless the transfer has changed since the query."""
    notice = Notice(
        notice_id=f"query/{transfer.transfer_id}/conflict",
        type=f"transfer.{answer.outcome.name.lower()}",
        trace_number=answer.trace_number,
        transfer_id=transfer.transfer_id,
        return_code=answer.return_code,
    )
    if await deps.store.put_aside(transfer, notice):
        log.error(
            "reconciliation.conflict",
            transfer_id=str(transfer.transfer_id),
            answer=answer.outcome.name,
        )
