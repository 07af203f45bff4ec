"""The event of a reviewer's decision, for the audit trail."""

from datetime import timedelta

from bp.payments.v1.payments_events_pb2 import PaymentEvent, TransferReviewed

from services.kernel.ids import new_id
from services.payments.mapping import review_event
from services.payments.state import State
from services.payments.transfer import Review
from tests.unit.payments.orders import NOW, transfer


def test_the_event_of_a_review_says_what_a_person_decided_and_what_that_did() -> None:
    reviewed = transfer(State.CANCELLING, version=3)
    decide_time = NOW + timedelta(hours=1)
    review = Review(
        reviewed.transfer_id,
        "REFUSED",
        "CANCELLING",
        "eva",
        "unknown payee",
        decide_time,
        "eva (uid 1000)",
    )
    out = review_event(review, reviewed, new_id())
    assert out.event_type == "bp.payments.v1.TransferReviewed"
    event = PaymentEvent.FromString(out.payload)
    fact = event.transfer_reviewed
    assert (fact.decision, fact.effect) == (TransferReviewed.REFUSED, TransferReviewed.CANCELLING)
    assert (fact.reviewer, fact.note) == ("eva", "unknown payee")
    assert fact.os_user == "eva (uid 1000)"
    assert event.metadata.occur_time.ToDatetime(decide_time.tzinfo) == decide_time
    assert event.metadata.aggregate_id == str(reviewed.transfer_id)
    # A review is no step of the transfer, whose versions count its steps without a gap.
    assert event.metadata.aggregate_version == 0


def test_names_and_notes_of_reviewers_are_redacted_in_logs() -> None:
    fields = TransferReviewed.DESCRIPTOR.fields_by_name
    assert fields["reviewer"].GetOptions().debug_redact
    assert fields["os_user"].GetOptions().debug_redact
    assert fields["note"].GetOptions().debug_redact
