"""The interbank transfer as a state machine: what may follow what, and what it posts. Pure.

A time-out of the clearing house is not a failure. DEBITED goes to OUTCOME_UNKNOWN, and from
there only an answer leads on: the clearing house has it (ACCEPTED), or has confirmed that it
never will (RECALLED). Only then is the customer refunded. A refusal is no event: what was refused
may be taken from an attempt that comes later, so it is recalled like what nobody heard of.
"""

from dataclasses import dataclass
from enum import Enum

from services.kernel.state_table import StateTable


class State(Enum):
    """Where a transfer stands; the names of InterbankTransfer.State in the contract."""

    DEBITED = "DEBITED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    CANCELLING = "CANCELLING"
    SUBMITTED = "SUBMITTED"
    COMPLETED = "COMPLETED"
    RETURNED = "RETURNED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Event(Enum):
    """What can happen to a transfer."""

    ACCEPTED = "the clearing house has it, with a trace number"
    TIMED_OUT = "the clearing house did not answer, so nobody knows"
    RECALLED = "the clearing house confirmed that it will never go"
    CANCEL_ASKED = "the customer asked to cancel it"
    COMPLETED = "the clearing house settled it"
    RETURNED = "the beneficiary's bank sent it back"


class Posting(Enum):
    """What a transition posts; payments.post_transition knows the accounts."""

    SETTLE = "clearing to settlement"
    REFUND_FROM_CLEARING = "clearing to the customer"
    REFUND_FROM_SETTLEMENT = "settlement to the customer"


_S = State
_E = Event

TABLE: StateTable[State, Event] = StateTable(
    initial=_S.DEBITED,
    rows={
        (_S.DEBITED, _E.ACCEPTED): _S.SUBMITTED,
        (_S.DEBITED, _E.RECALLED): _S.FAILED,
        (_S.DEBITED, _E.TIMED_OUT): _S.OUTCOME_UNKNOWN,
        (_S.DEBITED, _E.CANCEL_ASKED): _S.CANCELLING,
        (_S.DEBITED, _E.COMPLETED): _S.COMPLETED,
        (_S.DEBITED, _E.RETURNED): _S.RETURNED,
        (_S.OUTCOME_UNKNOWN, _E.ACCEPTED): _S.SUBMITTED,
        (_S.OUTCOME_UNKNOWN, _E.RECALLED): _S.FAILED,
        (_S.OUTCOME_UNKNOWN, _E.CANCEL_ASKED): _S.CANCELLING,
        (_S.OUTCOME_UNKNOWN, _E.COMPLETED): _S.COMPLETED,
        (_S.OUTCOME_UNKNOWN, _E.RETURNED): _S.RETURNED,
        (_S.CANCELLING, _E.ACCEPTED): _S.SUBMITTED,
        (_S.CANCELLING, _E.RECALLED): _S.CANCELLED,
        (_S.CANCELLING, _E.COMPLETED): _S.COMPLETED,
        (_S.CANCELLING, _E.RETURNED): _S.RETURNED,
        (_S.SUBMITTED, _E.CANCEL_ASKED): _S.CANCELLING,
        (_S.SUBMITTED, _E.COMPLETED): _S.COMPLETED,
        (_S.SUBMITTED, _E.RETURNED): _S.RETURNED,
        (_S.COMPLETED, _E.RETURNED): _S.RETURNED,
    },
)
"""Every legal step. A return may come after settlement: Nacha gives the other bank days for it."""

PENDING = frozenset({State.DEBITED, State.OUTCOME_UNKNOWN, State.CANCELLING})
"""States that owe the clearing house a question; a worker takes them up until they are left."""

CREDITED_BACK = frozenset({State.FAILED, State.CANCELLED, State.RETURNED})
"""States in which the customer has the money again."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What a transition does besides changing the state, in the same database transaction."""

    event_type: str
    """Name of the event's message in bp.payments.v1; every step tells one."""
    posting: Posting | None = None
    frees_key: bool = False
    """Whether the idempotency key may be used anew: only when the transfer did not happen."""


def effect(state: State, following: State, *, told_submitted: bool) -> Effect:
    """Return what the step from a state to the following one posts and tells.

    A cancellation that came too late leads back to SUBMITTED, which may have been told before.
    """
    settled = state is State.COMPLETED
    refund = Posting.REFUND_FROM_SETTLEMENT if settled else Posting.REFUND_FROM_CLEARING
    effects = {
        State.OUTCOME_UNKNOWN: Effect("TransferOutcomeUnknown"),
        State.CANCELLING: Effect("TransferCancelRequested"),
        State.SUBMITTED: Effect("TransferCancelRefused" if told_submitted else "TransferSubmitted"),
        State.COMPLETED: Effect("TransferCompleted", Posting.SETTLE),
        State.RETURNED: Effect("TransferReturned", refund),
        State.FAILED: Effect("TransferFailed", refund, frees_key=True),
        State.CANCELLED: Effect("TransferCancelled", refund),
    }
    return effects[following]
