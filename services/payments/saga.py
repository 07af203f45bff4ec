"""Decides which question to ask the clearing house next and what its answer means. Pure.

driver.py carries out these decisions; the simulator runs them against its own clearing house.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Literal
from uuid import UUID

from services.payments.state import TABLE, Event, State
from services.payments.transfer import Fact, Notice, Requester, Transfer


class Step(Enum):
    """A question to the clearing house. It carries the transfer's key, so it may be repeated."""

    SUBMIT = "hand over the transfer"
    QUERY = "ask for its state"
    RECALL = "cancel it, or have its late arrival refused"


class Outcome(Enum):
    """What an answer of the clearing house says."""

    ACCEPTED = "it has the transfer"
    REFUSED = "it does not accept it, for the reason given"
    RECALLED = "it will never send it"
    NOT_FOUND = "it does not know it"
    TOO_LATE = "it has sent it already"
    SETTLED = "it has settled it"
    RETURNED = "the beneficiary's bank sent it back, for the code given"
    NO_ANSWER = "there was no answer: a timeout, a reset or a server error"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, with its details."""

    outcome: Outcome
    trace_number: str = ""
    reason: str = ""
    return_code: str = ""


FIRST_STEP = {
    State.DEBITED: Step.SUBMIT,
    State.OUTCOME_UNKNOWN: Step.QUERY,
    State.CANCELLING: Step.RECALL,
}
"""The first question about a transfer in each pending state."""

UNAVAILABLE = "ACH_UNAVAILABLE"

OWN_NOTICE_IDS = "query/"
"""The prefix of the notice ids that the bank itself gives; the clearing house may not use it."""

NOTICE_TYPES = {Event.COMPLETED: "transfer.completed", Event.RETURNED: "transfer.returned"}
"""The clearing house's notice type for each event."""

_BACKOFF_S_MAX = 60
_ASKED_FIRST_SHARE = 24
_ASKED_LAST_SHARE = 6


def after_answer(step: Step, answer: Answer, refusal: str = "") -> Fact | Step | None:
    """Return the fact that an answer states, or the next question, or None: ask again later.

    NOT_FOUND is no fact: the request may still be in flight. REFUSED is no fact either: another
    attempt may be in flight, and the clearing house may accept it. Both lead to RECALL: the
    clearing house keeps a tombstone and refuses a late arrival. `refusal` is the reason of an
    earlier refusal.
    """
    settled = fact_of_settlement(answer)
    if settled is not None:
        return settled
    match step, answer.outcome:
        case _, Outcome.ACCEPTED:
            return Fact(Event.ACCEPTED, trace_number=answer.trace_number)
        case Step.RECALL, Outcome.TOO_LATE:
            # The transfer has been sent; the answer to a query has its trace number.
            return Step.QUERY
        case Step.SUBMIT, Outcome.NO_ANSWER:
            return Fact(Event.TIMED_OUT)
        case (Step.QUERY, Outcome.NOT_FOUND) | (_, Outcome.REFUSED):
            return Step.RECALL
        case _, Outcome.RECALLED:
            # In answer to a submission: a recall has left a tombstone.
            return Fact(Event.RECALLED, reason=refusal or UNAVAILABLE)
        case _:
            return None


def if_overtaken(asked_in: State, current: Transfer, fact: Fact) -> Fact | None:
    """Return the fact to save next if another worker has advanced the transfer; usually None.

    The other worker's ACCEPTED is older than this confirmed recall, because the clearing house
    accepts nothing after a recall. `asked_in` is the transfer's state when the bank asked. A recall
    belongs to a cancellation only in CANCELLING; the new fact then keeps its requester.
    """
    if fact.event is not Event.RECALLED or current.state is not State.SUBMITTED:
        return None
    if asked_in is not State.CANCELLING:
        return fact
    return Fact(Event.CANCEL_ASKED, requester=current.cancel_requester or Requester.CUSTOMER)


def fact_of_settlement(answer: Answer) -> Fact | None:
    """Return the fact that the clearing house settled or returned a transfer, or None."""
    match answer.outcome:
        case Outcome.SETTLED:
            return Fact(Event.COMPLETED, trace_number=answer.trace_number)
        case Outcome.RETURNED:
            trace, code = answer.trace_number, answer.return_code
            return Fact(Event.RETURNED, trace_number=trace, return_code=code)
        case _:
            return None


def retry_after_s(transfer: Transfer) -> int:
    """Return the seconds until the next question about a pending transfer: 1, 2, 4 … 60."""
    return min(2 ** min(transfer.attempts, 6), _BACKOFF_S_MAX)


def fact_of_notice(notice: Notice) -> Fact | None:
    """Return the fact that a notice states; None for an unknown type."""
    trace = notice.trace_number
    match notice.type:
        case "transfer.completed":
            return Fact(Event.COMPLETED, trace_number=trace)
        case "transfer.returned":
            return Fact(Event.RETURNED, trace_number=trace, return_code=notice.return_code)
        case _:
            return None


class NoticeVerdict(Enum):
    """How a notice applies to a transfer."""

    APPLY = "it moves the transfer on"
    STALE = "the transfer is already past it: a repeated or late notice"
    CONFLICT = "it contradicts what the bank did"


def contradicts_trace_number(transfer: Transfer, fact: Fact) -> bool:
    """Return whether a fact contradicts the trace number on record."""
    recorded = transfer.trace_number
    return bool(recorded and fact.trace_number and recorded != fact.trace_number)


def judge_notice(transfer: Transfer, fact: Fact, *, legal: bool) -> NoticeVerdict:
    """Judge a notice against the transfer that it names.

    A completion or a return of a refunded transfer is a contradiction: the money did leave the
    bank, although the clearing house had confirmed that it would not. A trace number that differs
    from the stored one is a contradiction too: the notice belongs to a different transfer.
    """
    if contradicts_trace_number(transfer, fact):
        return NoticeVerdict.CONFLICT
    if legal:
        return NoticeVerdict.APPLY
    if transfer.state in {State.FAILED, State.CANCELLED}:
        return NoticeVerdict.CONFLICT
    return NoticeVerdict.STALE


def transfer_of_trace(
    known: Mapping[UUID, State], fact: Fact | None
) -> UUID | Literal[NoticeVerdict.CONFLICT] | None:
    """Return the transfer of a notice that has only a trace number; CONFLICT if several fit.

    `known` has the transfers with this number, newest first. There may be several, because the
    clearing house uses its numbers again after some years. The notice belongs to the
    only transfer that allows its step. If there is none, the notice is a repetition, and is checked
    against the newest transfer.
    """
    legal = [one for one, state in known.items() if fact and TABLE.allows(state, fact.event)]
    if len(legal) > 1:
        return NoticeVerdict.CONFLICT
    return next(iter(legal or known), None)


def after_late_query(transfer: Transfer, answer: Answer) -> Notice | Fact | NoticeVerdict | None:
    """Return what a query says about a SUBMITTED transfer whose settlement is overdue.

    A Notice is the one that seems lost. None means: ask again later. CONFLICT means that the answer
    contradicts the clearing house's earlier ACCEPTED. RECALLED does not contradict it: a recall
    that was sent while the outcome was unknown may have arrived after the clearing house had
    accepted the transfer. Then the transfer fails and is refunded.
    """
    if answer.outcome is Outcome.RECALLED:
        return Fact(Event.RECALLED, reason=UNAVAILABLE)
    other_trace = answer.trace_number and answer.trace_number != transfer.trace_number
    fact = fact_of_settlement(answer)
    if answer.outcome is Outcome.NO_ANSWER:
        return None
    if other_trace or (fact is None and answer.outcome is not Outcome.ACCEPTED):
        return NoticeVerdict.CONFLICT
    return notice_of_query(transfer, fact) if fact else None


def after_return_query(transfer: Transfer, answer: Answer) -> Notice | NoticeVerdict | None:
    """Return what a query says about a COMPLETED transfer at the end of a return window.

    A Notice is the notice of a return that seems to be lost. None means that there is no return:
    the transfer is settled, or the clearing house no longer knows it. CONFLICT means that the
    answer contradicts the settlement. The caller must handle NO_ANSWER itself.
    """
    if answer.outcome is Outcome.NOT_FOUND:
        return None
    fact = fact_of_settlement(answer)
    if fact is None or contradicts_trace_number(transfer, fact):
        return NoticeVerdict.CONFLICT
    return notice_of_query(transfer, fact) if fact.event is Event.RETURNED else None


def next_return_check(
    settle_time: datetime, waits_s: Iterable[float], now: datetime
) -> datetime | None:
    """Return the first end of a return window after `now`, or None after the last one."""
    ends = (settle_time + timedelta(seconds=wait_s) for wait_s in waits_s)
    return min((end for end in ends if end > now), default=None)


def notice_of_query(transfer: Transfer, fact: Fact) -> Notice:
    """Return the notice that stores a query's answer; equal answers give the same notice id."""
    notice_type = NOTICE_TYPES[fact.event]
    return Notice(
        notice_id=f"{OWN_NOTICE_IDS}{transfer.transfer_id}/{notice_type}",
        type=notice_type,
        trace_number=fact.trace_number,
        transfer_id=transfer.transfer_id,
        return_code=fact.return_code,
    )


def ask_again_after_s(transfer: Transfer, answer: Answer, settlement_wait_s: float) -> float:
    """Return the seconds until the next query about an unsettled transfer.

    Without an answer the wait is `retry_after_s`. Otherwise it starts at 1/24 of
    `settlement_wait_s` and doubles up to 1/6: with six days 6, 12, 24, 24 … hours.
    """
    if answer.outcome is Outcome.NO_ANSWER:
        return retry_after_s(transfer)
    doubled = settlement_wait_s / _ASKED_FIRST_SHARE * 2 ** min(max(transfer.attempts - 1, 0), 6)
    return min(doubled, settlement_wait_s / _ASKED_LAST_SHARE)
