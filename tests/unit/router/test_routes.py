"""Which event sends customers which notification."""

import uuid

import pytest
from bp.notifications.v1.notification_pb2 import Template
from bp.payments.v1.payments_errors_pb2 import PaymentsErrorReason
from bp.payments.v1.payments_events_pb2 import PaymentEvent, TransferReviewed
from bp.transfers.v1.transfers_errors_pb2 import TransfersErrorReason
from bp.transfers.v1.transfers_events_pb2 import TransferEvent

from services.chassis.kafka import BadMessage, Record
from services.router.mapping import fan_out
from services.router.routes import ROUTES, notifications_of
from tests.rigs import sample_events

TOLD = [
    ("transfer_debited", []),
    ("transfer_submitted", [Template.TRANSFER_SUBMITTED]),
    ("transfer_completed", [Template.TRANSFER_COMPLETED]),
    ("transfer_failed", [Template.TRANSFER_FAILED]),
    ("transfer_returned", [Template.TRANSFER_RETURNED]),
    ("transfer_cancelled", [Template.TRANSFER_CANCELLED]),
    ("transfer_outcome_unknown", []),
    ("transfer_cancel_requested", []),
    ("transfer_cancel_refused", []),
]


@pytest.mark.parametrize(("fact", "templates"), TOLD)
def test_an_interbank_event_tells_its_customer(fact: str, templates: list[Template]) -> None:
    event = sample_events.payment(fact)
    told = notifications_of(event)
    assert [t.notification_requested.template for t in told] == templates
    for one in told:
        asked = one.notification_requested
        assert one.metadata.event_id == event.metadata.event_id
        assert asked.customer_id == event.metadata.customer_id
        assert asked.transfer_id == event.metadata.aggregate_id
        assert asked.amount == getattr(event, fact).transfer.amount


def test_a_declined_order_tells_nobody() -> None:
    event = PaymentEvent()
    event.metadata.customer_id = str(uuid.uuid4())
    event.transfer_declined.reason = PaymentsErrorReason.FRAUD_DECLINED
    assert notifications_of(event) == []


def test_a_declined_book_transfer_tells_nobody() -> None:
    event = TransferEvent()
    event.metadata.customer_id = str(uuid.uuid4())
    event.book_transfer_declined.reason = TransfersErrorReason.ACCOUNT_FROZEN
    assert "bp.transfers.v1.BookTransferDeclined" in ROUTES
    assert notifications_of(event) == []


def test_a_review_tells_nobody() -> None:
    event = PaymentEvent()
    event.metadata.customer_id = str(uuid.uuid4())
    event.transfer_reviewed.decision = TransferReviewed.REFUSED
    assert "bp.payments.v1.TransferReviewed" in ROUTES
    assert notifications_of(event) == []


def test_a_book_transfer_tells_both_sides_under_different_ids() -> None:
    event = sample_events.book_transfer()
    told = {
        t.notification_requested.template: (
            t.metadata.event_id,
            t.notification_requested.customer_id,
        )
        for t in notifications_of(event)
    }
    assert told == {
        Template.TRANSFER_SENT: (event.metadata.event_id, event.metadata.customer_id),
        Template.TRANSFER_RECEIVED: (
            f"{event.metadata.event_id}/received",
            event.book_transfer_posted.destination_customer_id,
        ),
    }


def test_a_transfer_between_own_accounts_sends_one_message() -> None:
    event = sample_events.book_transfer()
    event.book_transfer_posted.destination_customer_id = event.metadata.customer_id
    templates = [t.notification_requested.template for t in notifications_of(event)]
    assert templates == [Template.TRANSFER_SENT]


def test_the_reason_of_a_return_is_its_code() -> None:
    event = sample_events.payment("transfer_returned")
    event.transfer_returned.transfer.return_code = "R03"
    (told,) = notifications_of(event)
    assert told.notification_requested.reason == "R03"


def test_every_fact_of_the_contracts_has_a_row() -> None:
    facts = set[str]()
    for envelope in (PaymentEvent, TransferEvent):
        for field in envelope.DESCRIPTOR.oneofs_by_name["event"].fields:
            assert field.message_type is not None
            facts.add(field.message_type.full_name)
    assert set(ROUTES) == facts


def test_an_unknown_fact_sends_no_message_and_is_audited_by_its_header() -> None:
    event = sample_events.payment()
    event.ClearField("transfer_submitted")
    record = _record("payments", event.SerializeToString(), ce_type="bp.payments.v1.TransferHeld")
    (audited,) = fan_out(record)
    assert audited.topic == "audit-logs"
    assert notifications_of(event) == []


def test_an_event_without_its_customer_is_audited_and_parked() -> None:
    event = sample_events.payment("transfer_failed")
    event.metadata.customer_id = ""
    with pytest.raises(BadMessage, match="TransferFailed"):
        notifications_of(event)
    outgoing = fan_out(_record("payments", event.SerializeToString()))
    assert [out.topic for out in outgoing] == ["audit-logs", "payments.dlq"]


def test_an_auth_event_is_audited_by_its_headers_unopened() -> None:
    event_id = sample_events.payment().metadata.event_id
    record = _record(
        "auth-events",
        b"\xff whatever",
        ce_id=event_id,
        ce_type="bp.auth.v1.LoggedIn",
        ce_time="2026-07-04T12:00:00Z",
    )
    (audited,) = fan_out(record)
    assert (audited.topic, audited.key) == ("audit-logs", b"key")


@pytest.mark.parametrize("value", [b"", b"\xff\xff", b"\x0a\x03\x0a\x01x"])
def test_a_value_that_is_no_event_is_parked_with_its_reason(value: bytes) -> None:
    (parked,) = fan_out(_record("transfers", value))
    assert parked.topic == "transfers.dlq"
    assert parked.value == value
    assert dict(parked.headers)["dlq-original-offset"] == b"5"


def _record(topic: str, value: bytes, **headers: str) -> Record:
    pairs = tuple((name, text.encode()) for name, text in headers.items())
    return Record(topic, 2, 5, b"key", value, pairs)
