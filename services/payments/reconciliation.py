"""Asks the clearing house about transfers whose notice may be lost.

Those are submitted transfers whose notice is overdue, and completed ones when a return window ends.

saga.py decides what an answer means. An answer is kept and applied like a notice, so a notice
that arrives later changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from datetime import timedelta

import structlog

from services.kernel.clock import utc_now
from services.payments import notices, saga
from services.payments.dependencies import Dependencies
from services.payments.rows import ReturnCheck
from services.payments.saga import Answer, NoticeVerdict, Outcome
from services.payments.state import State
from services.payments.store import BUSY
from services.payments.transfer import Fact, Notice, Transfer

ROWS_MAX = 16
"""Transfers in one batch of concurrent queries."""

EVERY_S = 5.0

log = structlog.get_logger()


async def ask_for_unsettled(deps: Dependencies) -> None:
    """Ask about the transfers that are due, in batches; stop early if a batch gets no answer."""
    while True:
        due = await deps.store.claim_unsettled(deps.driver.lease(), utc_now(), ROWS_MAX)
        asked = (_unless_busy(transfer, _ask(deps, transfer)) for transfer in due)
        if not await _any_answered(asked) or len(due) < ROWS_MAX:
            return


async def _any_answered(queries: Iterable[Awaitable[bool]]) -> bool:
    """Return whether any query was answered; raise the first error after the last query ended."""
    results = await asyncio.gather(*queries, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return any(results)


async def _unless_busy(transfer: Transfer, work: Awaitable[bool]) -> bool:
    """Do the work on one transfer; return whether the clearing house answered. The account
    is needed only after an answer; if it is busy, a worker asks again when the lease expires."""
    try:
        return await work
    except BUSY:
        log.warning("reconciliation.account_busy", transfer_id=str(transfer.transfer_id))
        return True


async def _ask(deps: Dependencies, transfer: Transfer) -> bool:
    """Ask about one transfer and act on the answer; return whether there was one."""
    answer = await deps.ach.query(transfer)
    finding = saga.after_late_query(transfer, answer)
    transfer_id = str(transfer.transfer_id)
    if isinstance(finding, Notice):
        log.warning("reconciliation.notice_missed", transfer_id=transfer_id, type=finding.type)
        await notices.take_in_notice(deps, finding)
    elif isinstance(finding, Fact):
        log.warning("reconciliation.recalled", transfer_id=transfer_id)
        moved, _ = await deps.driver.save(transfer, finding)
        deps.driver.start(moved)
    elif finding is NoticeVerdict.CONFLICT:
        await _put_aside(deps, transfer, answer)
    else:
        wait_s = saga.ask_again_after_s(transfer, answer, deps.driver.settlement_wait_s)
        await deps.driver.postpone(transfer, wait_s)
    return answer.outcome is not Outcome.NO_ANSWER


async def ask_for_late_returns(deps: Dependencies) -> None:
    """Ask about completed transfers whose return window has ended, in batches as above."""
    while True:
        due = await deps.store.claim_return_checks(deps.driver.lease(), utc_now(), ROWS_MAX)
        checked = (_unless_busy(one.transfer, _check(deps, one)) for one in due)
        if not await _any_answered(checked) or len(due) < ROWS_MAX:
            return


async def _check(deps: Dependencies, check: ReturnCheck) -> bool:
    """Check one transfer for a late return; return whether the clearing house answered."""
    transfer = check.transfer
    if transfer.state is not State.COMPLETED:
        await deps.store.end_return_checks(transfer.transfer_id)
        return True
    answer = await deps.ach.query(transfer)
    if answer.outcome is Outcome.NO_ANSWER:
        retry_time = utc_now() + timedelta(seconds=saga.retry_after_s(transfer))
        await deps.store.check_return_at(transfer.transfer_id, retry_time)
        return False
    finding = saga.after_return_query(transfer, answer)
    if finding is None:
        await _wait_for_next_window(deps, check)
    elif isinstance(finding, Notice):
        log.warning("reconciliation.return_missed", transfer_id=str(transfer.transfer_id))
        await notices.take_in_notice(deps, finding)
    else:
        await _put_aside(deps, transfer, answer)
        await deps.store.end_return_checks(transfer.transfer_id)
    return True


async def _wait_for_next_window(deps: Dependencies, check: ReturnCheck) -> None:
    """Schedule the check after the next return window, or end the checks after the last one."""
    waits_s = (deps.settings.return_wait_s, deps.settings.late_return_wait_s)
    next_time = saga.next_return_check(check.settle_time, waits_s, utc_now())
    if next_time is None:
        await deps.store.end_return_checks(check.transfer.transfer_id)
    else:
        await deps.store.check_return_at(check.transfer.transfer_id, next_time)


async def _put_aside(deps: Dependencies, transfer: Transfer, answer: Answer) -> None:
    """Leave a contradiction to a person, unless the transfer has changed since the query."""
    notice = Notice(
        notice_id=f"{saga.OWN_NOTICE_IDS}{transfer.transfer_id}/conflict",
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
