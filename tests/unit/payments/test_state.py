"""The transition table: every pair of state and event, and the rules of money."""

from itertools import product

import pytest
from bp.payments.v1.payments_events_pb2 import PaymentEvent

from services.kernel.ids import new_id
from services.kernel.state_table import IllegalTransition
from services.payments.mapping import event_out, transfer_message
from services.payments.state import CREDITED_BACK, PENDING, TABLE, Event, Posting, State
from services.payments.transfer import Fact, after
from tests.unit.payments.orders import NOW, transfer


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_each_pair_of_state_and_event_is_either_a_row_or_refused_unchanged(
    state: State, event: Event
) -> None:
    before = transfer(state)
    if (state, event) in TABLE.rows:
        moved, _ = after(before, Fact(event), NOW)
        assert moved.state is TABLE.rows[state, event].to
        assert moved.version == before.version + 1
    else:
        with pytest.raises(IllegalTransition):
            after(before, Fact(event), NOW)
        assert before == transfer(state, **_same(before))


def _same(before: object) -> dict[str, object]:
    names = ("transfer_id", "customer_id", "account_id")
    return {name: getattr(before, name) for name in names}


@pytest.mark.parametrize(("state", "event"), list(TABLE.rows))
def test_every_step_into_a_refunded_state_posts_exactly_one_refund(
    state: State, event: Event
) -> None:
    moved, step = after(transfer(state), Fact(event), NOW)
    refunds = {Posting.REFUND_FROM_CLEARING, Posting.REFUND_FROM_SETTLEMENT}
    assert (step.posting in refunds) == (moved.state in CREDITED_BACK)


def test_no_refunded_state_is_ever_left_so_no_refund_comes_twice() -> None:
    assert not [state for state, _ in TABLE.rows if state in CREDITED_BACK]


EVENT_OF = {
    State.OUTCOME_UNKNOWN: "TransferOutcomeUnknown",
    State.CANCELLING: "TransferCancelRequested",
    State.SUBMITTED: "TransferSubmitted",
    State.COMPLETED: "TransferCompleted",
    State.RETURNED: "TransferReturned",
    State.FAILED: "TransferFailed",
    State.CANCELLED: "TransferCancelled",
}
"""The event that says that a transfer is in a state, as the contract describes it."""


LEADS_TO = {
    Event.ACCEPTED: State.SUBMITTED,
    Event.TIMED_OUT: State.OUTCOME_UNKNOWN,
    Event.RECALLED: State.FAILED,
    Event.CANCEL_ASKED: State.CANCELLING,
    Event.COMPLETED: State.COMPLETED,
    Event.RETURNED: State.RETURNED,
}
"""The state after an event in any state; a recall for a cancellation ends in CANCELLED."""


def _posting(state: State, to: State) -> Posting | None:
    """Return what an accountant expects: where the money is before a step, and where after it."""
    if to is State.COMPLETED:
        return Posting.SETTLE
    if to not in CREDITED_BACK:
        return None
    settled = state is State.COMPLETED
    return Posting.REFUND_FROM_SETTLEMENT if settled else Posting.REFUND_FROM_CLEARING


@pytest.mark.parametrize(("state", "event"), list(TABLE.rows))
def test_each_row_leads_on_and_writes_the_event_and_the_posting_of_its_target(
    state: State, event: Event
) -> None:
    asked = (state, event) == (State.CANCELLING, Event.RECALLED)
    to = State.CANCELLED if asked else LEADS_TO[event]
    step = TABLE.rows[state, event]
    assert (step.to, step.event_type, step.posting) == (to, EVENT_OF[to], _posting(state, to))


def test_a_return_after_settlement_is_paid_from_settlement_and_not_from_clearing() -> None:
    _, from_settled = after(transfer(State.COMPLETED), Fact(Event.RETURNED), NOW)
    _, from_clearing = after(transfer(State.SUBMITTED), Fact(Event.RETURNED), NOW)
    assert from_settled.posting is Posting.REFUND_FROM_SETTLEMENT
    assert from_clearing.posting is Posting.REFUND_FROM_CLEARING


def test_a_time_out_never_refunds() -> None:
    rows = {state: row for (state, event), row in TABLE.rows.items() if event is Event.TIMED_OUT}
    assert rows
    assert not {row.to for row in rows.values()} & CREDITED_BACK
    for state in rows:
        _, step = after(transfer(state), Fact(Event.TIMED_OUT), NOW)
        assert step.posting is None, "the money remains in clearing"


def test_only_a_failed_transfer_frees_its_key() -> None:
    for state, event in TABLE.rows:
        moved, step = after(transfer(state), Fact(event), NOW)
        assert step.frees_key == (moved.state is State.FAILED)


@pytest.mark.parametrize(
    ("trace_number", "event_type"),
    [("", "TransferSubmitted"), ("991000010000001", "TransferCancelRefused")],
)
def test_a_cancellation_that_comes_too_late_never_writes_transfer_submitted_twice(
    trace_number: str, event_type: str
) -> None:
    cancelling = transfer(State.CANCELLING, trace_number=trace_number)
    moved, step = after(cancelling, Fact(Event.ACCEPTED, trace_number="991000010000001"), NOW)
    assert (moved.state, step.event_type) == (State.SUBMITTED, event_type)


def test_every_pending_state_leads_on_and_the_rest_wait_for_nothing() -> None:
    assert {state for state, _ in TABLE.rows} >= PENDING
    assert TABLE.terminal() == {State.FAILED, State.CANCELLED, State.RETURNED}


def test_the_diagram_shows_every_row() -> None:
    drawn = TABLE.mermaid()
    for (state, event), row in TABLE.rows.items():
        assert f"{state.name} --> {row.to.name}: {event.name.lower()}" in drawn


@pytest.mark.parametrize(("state", "event"), list(TABLE.rows))
def test_every_step_tells_an_event_of_the_contract(state: State, event: Event) -> None:
    moved, step = after(transfer(state), Fact(event), NOW)
    written = event_out(moved, step.event_type, new_id())
    envelope = PaymentEvent.FromString(written.payload)
    assert envelope.metadata.aggregate_version == moved.version
    fact = getattr(envelope, envelope.WhichOneof("event") or "")
    assert fact.DESCRIPTOR.full_name == written.event_type
    assert fact.DESCRIPTOR.name == step.event_type
    assert fact.transfer == transfer_message(moved)
