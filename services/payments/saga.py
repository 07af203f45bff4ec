"""What the saga does next, and what an answer of the clearing house means. Pure.

The driver in driver.py performs what is decided here; the simulator may drive the same
decisions with a clearing house of its own.
"""

from dataclasses import dataclass
from enum import Enum

from services.payments.state import Event, State
from services.payments.transfer import Fact, Notice, Transfer


class Step(Enum):
    """A question to the clearing house. Each carries the transfer's key and may be repeated."""

    SUBMIT = "hand the transfer over"
    QUERY = "ask what became of it"
    RECALL = "cancel it, or forbid its late arrival"


class Outcome(Enum):
    """What the clearing house can say."""

    ACCEPTED = "it has the transfer"
    REFUSED = "it does not take it, for the reason given"
    RECALLED = "it will never send it"
    NOT_FOUND = "it has never heard of it"
    TOO_LATE = "it has sent it already"
    SETTLED = "it has settled it"
    RETURNED = "the beneficiary's bank sent it back, for the code given"
    NO_ANSWER = "it did not say: time-out, reset, or an error of its own"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, with what came along."""

    outcome: Outcome
    trace_number: str = ""
    reason: str = ""
    return_code: str = ""


FIRST_STEP = {
    State.DEBITED: Step.SUBMIT,
    State.OUTCOME_UNKNOWN: Step.QUERY,
    State.CANCELLING: Step.RECALL,
}
"""What a transfer in each pending state asks first."""

UNAVAILABLE = "ACH_UNAVAILABLE"

NOTICE_TYPES = {Event.COMPLETED: "transfer.completed", Event.RETURNED: "transfer.returned"}
"""What the clearing house calls a notice of each."""

_BACKOFF_S_MAX = 60
_ASKED_FIRST_SHARE = 24
_ASKED_LAST_SHARE = 6


def after_answer(step: Step, answer: Answer, refusal: str = "") -> Fact | Step | None:
    """Return the fact that an answer is, the question that follows it, or None: ask again later.

    NOT_FOUND is no fact: the request may still be on its way. Nor is REFUSED: another attempt may
    be on its way, and be judged otherwise. Both lead to RECALL, by which the clearing house keeps
    a tombstone and refuses a late arrival. `refusal` is the reason of a refusal before it.
    """
    settled = fact_of_settlement(answer)
    if settled is not None:
        return settled
    match step, answer.outcome:
        case _, Outcome.ACCEPTED:
            return Fact(Event.ACCEPTED, trace_number=answer.trace_number)
        case Step.RECALL, Outcome.TOO_LATE:
            # It has gone; its trace number comes with the answer to a query.
            return Step.QUERY
        case Step.SUBMIT, Outcome.NO_ANSWER:
            return Fact(Event.TIMED_OUT)
        case (Step.QUERY, Outcome.NOT_FOUND) | (_, Outcome.REFUSED):
            return Step.RECALL
        case _, Outcome.RECALLED:
            # To a submission: a tombstone lies there from an earlier attempt.
            return Fact(Event.RECALLED, reason=refusal or UNAVAILABLE)
        case _:
            return None


def if_overtaken(now: Transfer, fact: Fact) -> Fact | None:
    """Return what a fact still is to a transfer that another worker has moved on; mostly nothing.

    That the clearing house has it may be an older word than the confirmed recall. Then it goes the
    way of a cancellation, which ends in the refund.
    """
    if fact.event is Event.RECALLED and now.state is State.SUBMITTED:
        return Fact(Event.CANCEL_ASKED)
    return None


def fact_of_settlement(answer: Answer) -> Fact | None:
    """Return the fact that the clearing house has done with a transfer; None when it has not."""
    match answer.outcome:
        case Outcome.SETTLED:
            return Fact(Event.COMPLETED, trace_number=answer.trace_number)
        case Outcome.RETURNED:
            trace, code = answer.trace_number, answer.return_code
            return Fact(Event.RETURNED, trace_number=trace, return_code=code)
        case _:
            return None


def retry_after_s(transfer: Transfer) -> int:
    """Return how long to wait before a pending transfer asks again: 1, 2, 4 … 60 seconds."""
    return min(2 ** min(transfer.attempts, 6), _BACKOFF_S_MAX)


def fact_of_notice(notice: Notice) -> Fact | None:
    """Return the fact that a clearing house's notice tells; None for a type unknown here."""
    trace = notice.trace_number
    match notice.type:
        case "transfer.completed":
            return Fact(Event.COMPLETED, trace_number=trace)
        case "transfer.returned":
            return Fact(Event.RETURNED, trace_number=trace, return_code=notice.return_code)
        case _:
            return None


class NoticeVerdict(Enum):
    """What a notice is to a transfer."""

    APPLY = "it moves the transfer on"
    STALE = "the transfer is past it: repeated or overtaken"
    CONFLICT = "it contradicts what the bank did"


def is_of_another(transfer: Transfer, fact: Fact) -> bool:
    """Say whether a fact has another trace number than the one on record, which cannot be."""
    known = transfer.trace_number
    return bool(known and fact.trace_number and known != fact.trace_number)


def judge_notice(transfer: Transfer, fact: Fact, *, legal: bool) -> NoticeVerdict:
    """Judge a notice against the transfer that it names.

    A completion of a transfer that was refunded, or another trace number than the one on
    record, cannot be: money left twice, or the notice is of another transfer.
    """
    if is_of_another(transfer, fact):
        return NoticeVerdict.CONFLICT
    if legal:
        return NoticeVerdict.APPLY
    if transfer.state in {State.FAILED, State.CANCELLED} and fact.event is Event.COMPLETED:
        return NoticeVerdict.CONFLICT
    return NoticeVerdict.STALE


def after_late_query(transfer: Transfer, answer: Answer) -> Notice | Fact | NoticeVerdict | None:
    """Return what a query says of a SUBMITTED transfer that should have been settled long ago.

    A notice, as the one that seems lost would have told it; None: ask again later; CONFLICT: it
    cannot be, since the bank holds its word that it has the transfer. That it was cancelled can
    be: a recall of the time when nobody knew arrived after the clearing house had said that it
    has the transfer. Then the transfer goes the way of a cancellation, which ends in the refund.
    """
    if answer.outcome is Outcome.RECALLED:
        return Fact(Event.CANCEL_ASKED)
    other_trace = answer.trace_number and answer.trace_number != transfer.trace_number
    fact = fact_of_settlement(answer)
    if answer.outcome is Outcome.NO_ANSWER:
        return None
    if other_trace or (fact is None and answer.outcome is not Outcome.ACCEPTED):
        return NoticeVerdict.CONFLICT
    return notice_of_query(transfer, fact) if fact else None


def notice_of_query(transfer: Transfer, fact: Fact) -> Notice:
    """Return the notice that a query stands for; asked twice it is the same one."""
    kind = NOTICE_TYPES[fact.event]
    return Notice(
        notice_id=f"query/{transfer.transfer_id}/{kind}",
        type=kind,
        trace_number=fact.trace_number,
        transfer_id=transfer.transfer_id,
        return_code=fact.return_code,
    )


def ask_again_after_s(transfer: Transfer, answer: Answer, settlement_wait_s: float) -> float:
    """Return how long until an unsettled transfer is asked for again.

    Soon when nobody answered; else a 24th of the first wait, doubling to a sixth of it: with six
    days, after six hours and then up to once a day.
    """
    if answer.outcome is Outcome.NO_ANSWER:
        return retry_after_s(transfer)
    doubled = settlement_wait_s / _ASKED_FIRST_SHARE * 2 ** min(max(transfer.attempts - 1, 0), 6)
    return min(doubled, settlement_wait_s / _ASKED_LAST_SHARE)
