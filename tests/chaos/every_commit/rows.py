"""How a test drives a transfer to each row of the saga's table, and how the transfer then ends.

`SCENARIOS` names every row; a test fails when one is missing. A scenario says how the clearing
house treats the transfer, what happens before the row's event, and who causes the event itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.payments.state import TABLE, Event, State
from tests.chaos.every_commit.payments_that_stops import DEBIT

_S = State
_E = Event

Row = tuple[State, Event]


class Cause(Enum):
    """The source of the event, which repeats the event if it is lost."""

    CLIENT = "the customer's request for a transfer"
    CANCEL = "the customer asks to cancel it"
    DRIVER = "an answer of the clearing house to a worker's question"
    QUERY = "an answer to a query about a transfer whose notice is overdue"
    NOTICE = "a notice of the clearing house"


class Before(Enum):
    """What happens between the debit and the event. Each row lists them in order."""

    SUBMITTED = "the clearing house has accepted it"
    UNKNOWN = "the bank gave up waiting for an answer"
    WAITING = "a worker waits with an answer in hand"
    CANCEL = "the customer asked to cancel it"
    GONE = "the network delayed a recall, which has arrived at the clearing house"
    DAYS = "banking days pass, and notices are held back"
    COMPLETED = "the clearing house sends the notice of its settlement"


GOOD_ACCOUNT, REFUSED_ACCOUNT = "123456", "12"
RETURNED_ACCOUNT, LATE_RETURNED_ACCOUNT = "1239903", "1238803"

DAYS_TO_BATCH, DAYS_TO_RETURN = 1, 8
"""Days until a batch is closed, and days until even a late return has come."""

HANG, SWALLOW = "hang", "accept_then_hang"
"""Kinds of fault: the request does not arrive; the request arrives, but the answer does not."""


@dataclass(frozen=True)
class Scenario:
    """How a step is reached, and how its transfer ends after the fault."""

    cause: Cause
    ends_as: frozenset[str]
    account: str = GOOD_ACCOUNT
    submit: str = ""
    query: str = ""
    recall: str = ""
    before: tuple[Before, ...] = ()
    notice: str = ""
    """Type of the notice that is the event."""
    days: int = 0
    """Banking days by which the clearing house's clock must advance."""

    @property
    def is_by_worker(self) -> bool:
        """Whether a worker finds the event by itself, once the lease has ended."""
        return self.cause in {Cause.DRIVER, Cause.QUERY}


def _ends(*states: State) -> frozenset[str]:
    return frozenset(state.name for state in states)


# A submission that is lost on its way is recalled.
DEBIT_SCENARIO = Scenario(Cause.CLIENT, _ends(_S.SUBMITTED, _S.FAILED))

_UNSETTLED: dict[Row, Scenario] = {
    (_S.DEBITED, _E.ACCEPTED): Scenario(Cause.DRIVER, _ends(_S.SUBMITTED)),
    # The submission is refused, and the transfer is recalled before the refund.
    (_S.DEBITED, _E.RECALLED): Scenario(Cause.DRIVER, _ends(_S.FAILED), account=REFUSED_ACCOUNT),
    # If another worker claims it before the timeout is saved, it is submitted once more.
    (_S.DEBITED, _E.TIMED_OUT): Scenario(Cause.DRIVER, _ends(_S.FAILED, _S.SUBMITTED), submit=HANG),
    # When the request is lost, the saga may recall the transfer before the customer retries.
    (_S.DEBITED, _E.CANCEL_ASKED): Scenario(
        Cause.CANCEL, _ends(_S.CANCELLED, _S.FAILED), submit=HANG, before=(Before.WAITING,)
    ),
    (_S.OUTCOME_UNKNOWN, _E.ACCEPTED): Scenario(Cause.DRIVER, _ends(_S.SUBMITTED), submit=SWALLOW),
    (_S.OUTCOME_UNKNOWN, _E.RECALLED): Scenario(Cause.DRIVER, _ends(_S.FAILED), submit=HANG),
    (_S.OUTCOME_UNKNOWN, _E.CANCEL_ASKED): Scenario(
        Cause.CANCEL,
        _ends(_S.CANCELLED, _S.FAILED),
        submit=HANG,
        query=HANG,
        before=(Before.UNKNOWN,),
    ),
    (_S.CANCELLING, _E.RECALLED): Scenario(
        Cause.DRIVER, _ends(_S.CANCELLED), before=(Before.SUBMITTED, Before.CANCEL)
    ),
    (_S.SUBMITTED, _E.RECALLED): Scenario(
        Cause.QUERY, _ends(_S.FAILED), before=(Before.SUBMITTED, Before.GONE)
    ),
    (_S.SUBMITTED, _E.CANCEL_ASKED): Scenario(
        Cause.CANCEL, _ends(_S.CANCELLED), before=(Before.SUBMITTED,)
    ),
}


def _told(event: Event, before: tuple[Before, ...], **partner: str) -> Scenario:
    """Return the scenario of an event that a notice reports after settlement."""
    returned = event is _E.RETURNED
    return Scenario(
        Cause.NOTICE,
        _ends(TABLE.next(_S.SUBMITTED, event)),
        account=RETURNED_ACCOUNT if returned else GOOD_ACCOUNT,
        before=before,
        days=DAYS_TO_RETURN,
        notice="returned" if returned else "completed",
        **partner,
    )


_WAITING = (Before.WAITING, Before.DAYS)
_UNKNOWN = (Before.UNKNOWN, Before.DAYS)
_CANCELLING = (Before.SUBMITTED, Before.DAYS, Before.CANCEL)
_SUBMITTED = (Before.SUBMITTED, Before.DAYS)

_SETTLED: dict[Row, Scenario] = {
    (_S.DEBITED, _E.COMPLETED): _told(_E.COMPLETED, _WAITING, submit=SWALLOW),
    (_S.DEBITED, _E.RETURNED): _told(_E.RETURNED, _WAITING, submit=SWALLOW),
    (_S.OUTCOME_UNKNOWN, _E.COMPLETED): _told(_E.COMPLETED, _UNKNOWN, submit=SWALLOW, query=HANG),
    (_S.OUTCOME_UNKNOWN, _E.RETURNED): _told(_E.RETURNED, _UNKNOWN, submit=SWALLOW, query=HANG),
    # Too late to cancel: the transfer is in the day's batch, but not yet settled.
    (_S.CANCELLING, _E.ACCEPTED): Scenario(
        Cause.DRIVER, _ends(_S.SUBMITTED), before=_CANCELLING, days=DAYS_TO_BATCH
    ),
    (_S.CANCELLING, _E.COMPLETED): _told(_E.COMPLETED, _CANCELLING, recall=HANG),
    (_S.CANCELLING, _E.RETURNED): _told(_E.RETURNED, _CANCELLING, recall=HANG),
    (_S.SUBMITTED, _E.COMPLETED): _told(_E.COMPLETED, _SUBMITTED),
    (_S.SUBMITTED, _E.RETURNED): _told(_E.RETURNED, _SUBMITTED),
    (_S.COMPLETED, _E.RETURNED): Scenario(
        Cause.NOTICE,
        _ends(_S.RETURNED),
        account=LATE_RETURNED_ACCOUNT,
        before=(*_SUBMITTED, Before.COMPLETED),
        days=DAYS_TO_RETURN,
        notice="returned",
    ),
}

SCENARIOS: dict[Row, Scenario] = _UNSETTLED | _SETTLED


@dataclass(frozen=True)
class Step:
    """A commit of the saga: its debit, or a row of the table."""

    row: Row | None = None

    @property
    def name(self) -> str:
        """The name that payments_that_stops.py uses."""
        return DEBIT if self.row is None else f"{self.row[0].name}-{self.row[1].name}"

    @property
    def following(self) -> State:
        """The state after the step."""
        return TABLE.initial if self.row is None else TABLE.next(*self.row)

    @property
    def scenario(self) -> Scenario:
        """How to reach the step. KeyError: `SCENARIOS` lacks the row."""
        return DEBIT_SCENARIO if self.row is None else SCENARIOS[self.row]


STEPS = (Step(), *(Step(row) for row in TABLE.rows))
"""Every commit that the saga can make, from the table itself."""
