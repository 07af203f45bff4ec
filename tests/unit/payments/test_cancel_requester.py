"""A cancellation names who requested it: the customer, or the bank after a refused review."""

import pytest
from bp.payments.v1.interbank_transfer_pb2 import InterbankTransfer
from bp.payments.v1.payments_events_pb2 import CancelRequester, PaymentEvent

from services.kernel.ids import new_id
from services.payments import saga
from services.payments.mapping import event_out, transfer_message
from services.payments.state import Event, State
from services.payments.transfer import Fact, Requester, Transfer, after
from tests.unit.payments.orders import NOW, transfer


def _requested_by(moved: Transfer, event_type: str) -> int:
    event = PaymentEvent.FromString(event_out(moved, event_type, new_id()).payload)
    fact = getattr(event, event.WhichOneof("event") or "")
    return fact.requested_by


@pytest.mark.parametrize("requester", list(Requester))
def test_the_events_of_a_cancellation_say_who_requested_it(requester: Requester) -> None:
    submitted = transfer(State.SUBMITTED, trace_number="991000010000001")
    asked = Fact(Event.CANCEL_ASKED, requester=requester)
    cancelling, step = after(submitted, asked, NOW)
    expected = CancelRequester.Value(requester.value)
    assert _requested_by(cancelling, step.event_type) == expected
    for answer in (Event.RECALLED, Event.ACCEPTED):
        answered, step = after(cancelling, Fact(answer), NOW)
        assert _requested_by(answered, step.event_type) == expected


def test_a_later_request_replaces_the_requester() -> None:
    submitted = transfer(State.SUBMITTED, trace_number="991000010000001")
    cancelling, _ = after(submitted, Fact(Event.CANCEL_ASKED, requester=Requester.BANK), NOW)
    refused, _ = after(cancelling, Fact(Event.ACCEPTED), NOW)
    again, _ = after(refused, Fact(Event.CANCEL_ASKED, requester=Requester.CUSTOMER), NOW)
    assert again.cancel_requester is Requester.CUSTOMER


@pytest.mark.parametrize("requester", [None, *Requester])
def test_the_customer_sees_who_requested_the_cancellation_and_not_why(
    requester: Requester | None,
) -> None:
    message = transfer_message(transfer(State.CANCELLED, cancel_requester=requester))
    name = requester.value if requester else "REQUESTER_UNSPECIFIED"
    assert message.cancel_requester == InterbankTransfer.Requester.Value(name)
    assert not {field for field in message.DESCRIPTOR.fields_by_name if "review" in field}
    assert message.failure_reason == ""


def test_a_recall_that_another_worker_overtook_keeps_the_requester() -> None:
    submitted = transfer(State.SUBMITTED, cancel_requester=Requester.BANK)
    remaining = saga.if_overtaken(State.CANCELLING, submitted, Fact(Event.RECALLED))
    assert remaining == Fact(Event.CANCEL_ASKED, requester=Requester.BANK)
