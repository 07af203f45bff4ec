"""The interbank transfer as a state machine: each legal step and what the step does. Pure.

A timeout of the clearing house is not a failure. DEBITED goes to OUTCOME_UNKNOWN, and the bank
asks. The customer is refunded only when the clearing house confirms that it will never send the
transfer (RECALLED), or when the beneficiary's bank sent it back (RETURNED). A refusal is no event:
the clearing house may accept a later attempt of a transfer that it refused, so the bank recalls a
refused transfer just as it recalls one that the clearing house does not know.
"""

from dataclasses import dataclass
from enum import Enum

from services.kernel import state_table
from services.kernel.state_table import StateTable


class State(Enum):
    """The state of a transfer; the names of InterbankTransfer.State in the contract."""

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
    TIMED_OUT = "the clearing house did not answer, so the outcome is unknown"
    RECALLED = "the clearing house confirmed that it will never send it"
    CANCEL_ASKED = "the customer or the bank asked to cancel it"
    COMPLETED = "the clearing house settled it"
    RETURNED = "the beneficiary's bank sent it back"


class Posting(Enum):
    """What a transition posts; payments.post_transition knows the accounts."""

    SETTLE = "clearing to settlement"
    REFUND_FROM_CLEARING = "clearing to the customer"
    REFUND_FROM_SETTLEMENT = "settlement to the customer"


@dataclass(frozen=True, slots=True)
class Transition(state_table.Transition[State]):
    """Where a step leads and what it does; all of it commits in one database transaction."""

    event_type: str
    """Name of the event's message in bp.payments.v1; every step writes one event."""
    posting: Posting | None = None
    frees_key: bool = False
    """Whether the customer may use the idempotency key again: only after a failed transfer, and
    only if no answer was given under the key."""


_S = State
_E = Event

DEBIT = Transition(_S.DEBITED, "TransferDebited")
"""The first step, which creates the transfer. payments.debit itself makes its posting."""

_OUTCOME_UNKNOWN = Transition(_S.OUTCOME_UNKNOWN, "TransferOutcomeUnknown")
_CANCELLING = Transition(_S.CANCELLING, "TransferCancelRequested")
_SUBMITTED = Transition(_S.SUBMITTED, "TransferSubmitted")
_COMPLETED = Transition(_S.COMPLETED, "TransferCompleted", Posting.SETTLE)
_RETURNED = Transition(_S.RETURNED, "TransferReturned", Posting.REFUND_FROM_CLEARING)
_RETURNED_LATE = Transition(_S.RETURNED, "TransferReturned", Posting.REFUND_FROM_SETTLEMENT)
_FAILED = Transition(_S.FAILED, "TransferFailed", Posting.REFUND_FROM_CLEARING, frees_key=True)
_CANCELLED = Transition(_S.CANCELLED, "TransferCancelled", Posting.REFUND_FROM_CLEARING)

TABLE: StateTable[State, Event, Transition] = StateTable(
    initial=DEBIT.to,
    rows={
        (_S.DEBITED, _E.ACCEPTED): _SUBMITTED,
        (_S.DEBITED, _E.RECALLED): _FAILED,
        (_S.DEBITED, _E.TIMED_OUT): _OUTCOME_UNKNOWN,
        (_S.DEBITED, _E.CANCEL_ASKED): _CANCELLING,
        (_S.DEBITED, _E.COMPLETED): _COMPLETED,
        (_S.DEBITED, _E.RETURNED): _RETURNED,
        (_S.OUTCOME_UNKNOWN, _E.ACCEPTED): _SUBMITTED,
        (_S.OUTCOME_UNKNOWN, _E.RECALLED): _FAILED,
        (_S.OUTCOME_UNKNOWN, _E.CANCEL_ASKED): _CANCELLING,
        (_S.OUTCOME_UNKNOWN, _E.COMPLETED): _COMPLETED,
        (_S.OUTCOME_UNKNOWN, _E.RETURNED): _RETURNED,
        # CANCEL_REFUSED instead, if the bank had a trace number already: see `transition`.
        (_S.CANCELLING, _E.ACCEPTED): _SUBMITTED,
        (_S.CANCELLING, _E.RECALLED): _CANCELLED,
        (_S.CANCELLING, _E.COMPLETED): _COMPLETED,
        (_S.CANCELLING, _E.RETURNED): _RETURNED,
        (_S.SUBMITTED, _E.RECALLED): _FAILED,
        (_S.SUBMITTED, _E.CANCEL_ASKED): _CANCELLING,
        (_S.SUBMITTED, _E.COMPLETED): _COMPLETED,
        (_S.SUBMITTED, _E.RETURNED): _RETURNED,
        (_S.COMPLETED, _E.RETURNED): _RETURNED_LATE,
    },
)
"""Every legal step: its next state, its event, its posting, and whether it frees the key. A return
may come after settlement: Nacha gives the other bank days for it."""

CANCEL_REFUSED = Transition(_S.SUBMITTED, "TransferCancelRefused")
"""A cancellation that came too late for a transfer that was SUBMITTED before it was CANCELLING.
TransferSubmitted has been written already, so this step writes another event."""

PENDING = frozenset({State.DEBITED, State.OUTCOME_UNKNOWN, State.CANCELLING})
"""States in which the bank has to ask the clearing house; workers drive these transfers."""

CREDITED_BACK = frozenset({State.FAILED, State.CANCELLED, State.RETURNED})
"""States in which the customer has been refunded."""


def transition(state: State, event: Event, *, submitted_before: bool) -> Transition:
    """Return the step that an event causes in a state; raise IllegalTransition."""
    if submitted_before and (state, event) == (State.CANCELLING, Event.ACCEPTED):
        return CANCEL_REFUSED
    return TABLE.transition(state, event)
