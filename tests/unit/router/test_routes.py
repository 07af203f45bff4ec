"""Which event sends customers which notification."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from bp.auth.v1.auth_events_pb2 import AuthEvent
from bp.notifications.v1.notification_pb2 import Template
from bp.payments.v1.payments_errors_pb2 import PaymentsErrorReason
from bp.payments.v1.payments_events_pb2 import PaymentEvent, TransferReviewed
from bp.transfers.v1.transfers_errors_pb2 import TransfersErrorReason
from bp.transfers.v1.transfers_events_pb2 import TransferEvent

from services.chassis.kafka import BadMessage, Record
from services.router.mapping import ENVELOPES, fan_out
from services.router.routes import ROUTES, notifications_of
from services.router.settings import SOURCES
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
    for envelope in ENVELOPES.values():
        for field in envelope.DESCRIPTOR.oneofs_by_name["event"].fields:
            assert field.message_type is not None
            facts.add(field.message_type.full_name)
    assert set(ROUTES) == facts


def test_the_router_can_open_every_topic_that_it_reads() -> None:
    assert set(ENVELOPES) == set(SOURCES)


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


LOGINS_TOLD = [
    # fact, template, reason, device name
    ("login_succeeded", None, "", ""),
    ("login_failed", None, "", ""),
    ("login_locked", Template.LOGIN_LOCKED, "STRANGERS", ""),
    ("login_unlocked", None, "", ""),
    ("device_added", Template.NEW_DEVICE, "", "Ana's iPhone"),
    ("device_removed", None, "", ""),
    ("token_reused", Template.TOKEN_REUSED, "", "Pixel 8"),
    ("password_changed", Template.PASSWORD_CHANGED, "", ""),
    ("factor_added", Template.FACTOR_ADDED, "AUTHENTICATOR_APP", ""),
    ("factor_removed", Template.FACTOR_REMOVED, "AUTHENTICATOR_APP", ""),
    ("session_revoked", None, "", ""),
]


def test_the_table_of_logins_has_every_fact_of_the_contract() -> None:
    fields = AuthEvent.DESCRIPTOR.oneofs_by_name["event"].fields
    assert [fact for fact, *_ in LOGINS_TOLD] == [field.name for field in fields]


@pytest.mark.parametrize(("fact", "template", "reason", "device"), LOGINS_TOLD)
def test_a_login_event_is_audited_and_tells_its_customer_by_the_table(
    fact: str, template: Template | None, reason: str, device: str
) -> None:
    event = sample_events.login(fact)
    outgoing = fan_out(_record("auth-events", event.SerializeToString()))
    topics = ["audit-logs"] if template is None else ["audit-logs", "notifications"]
    assert [out.topic for out in outgoing] == topics
    for one in notifications_of(event):
        asked = one.notification_requested
        assert (asked.template, asked.reason, asked.device_name) == (template, reason, device)
        assert asked.customer_id == one.metadata.customer_id == event.metadata.customer_id
        assert one.metadata.causation_id == event.metadata.event_id
        assert not asked.transfer_id
        assert not asked.HasField("amount")


@pytest.mark.parametrize("fact", ["login_failed", "login_locked"])
def test_an_event_of_an_unknown_address_is_audited_and_tells_nobody(fact: str) -> None:
    event = sample_events.login(fact, customer_id="")
    outgoing = fan_out(_record("auth-events", event.SerializeToString()))
    assert [out.topic for out in outgoing] == ["audit-logs"]


@pytest.mark.parametrize("scope", ["ADDRESS", "A_NEWER_SCOPE", ""])
def test_a_lock_outside_the_customers_account_tells_nobody(scope: str) -> None:
    assert notifications_of(sample_events.login("login_locked", scope=scope)) == []


def test_a_new_device_without_its_customer_is_audited_and_parked() -> None:
    event = sample_events.login("device_added", customer_id="")
    outgoing = fan_out(_record("auth-events", event.SerializeToString()))
    assert [out.topic for out in outgoing] == ["audit-logs", "auth-events.dlq"]
    assert outgoing[1].dead_letter_reason == "CUSTOMER_MISSING"


MIDNIGHT = datetime(2026, 7, 4, tzinfo=UTC)


def _message_of_lock(customer_id: str, at: datetime, scope: str = "STRANGERS") -> str:
    event = sample_events.login("login_locked", customer_id, at, scope=scope)
    (told,) = notifications_of(event)
    return told.metadata.event_id


def test_an_attack_of_a_whole_day_sends_one_message() -> None:
    customer = str(uuid.uuid4())
    locks = [MIDNIGHT + timedelta(minutes=15 * number) for number in range(96)]
    assert len({_message_of_lock(customer, at) for at in locks}) == 1


def test_locks_of_other_days_scopes_and_customers_are_other_messages() -> None:
    customer = str(uuid.uuid4())
    ids = {
        _message_of_lock(customer, MIDNIGHT),
        _message_of_lock(customer, MIDNIGHT - timedelta(microseconds=1)),
        _message_of_lock(customer, MIDNIGHT, "DEVICE"),
        _message_of_lock(customer, MIDNIGHT, "SESSION"),
        _message_of_lock(str(uuid.uuid4()), MIDNIGHT),
    }
    assert len(ids) == 5


def test_the_id_of_a_lock_is_a_uuid_of_its_day() -> None:
    shared = uuid.UUID(_message_of_lock(str(uuid.uuid4()), MIDNIGHT + timedelta(hours=23)))
    assert (shared.version, shared.variant) == (7, uuid.RFC_4122)
    assert int.from_bytes(shared.bytes[:6], "big") == int(MIDNIGHT.timestamp() * 1000)


@pytest.mark.parametrize("seconds", [-1, 253_402_300_800 * 10**3])
def test_a_lock_at_an_impossible_time_is_parked(seconds: int) -> None:
    event = sample_events.login("login_locked")
    event.metadata.occur_time.seconds = seconds
    outgoing = fan_out(_record("auth-events", event.SerializeToString()))
    assert [out.dead_letter_reason for out in outgoing] == ["", "EVENT_TIME_INVALID"]


def test_a_factor_newer_than_the_router_has_no_name() -> None:
    event = sample_events.login("factor_added", factor=99)
    (told,) = notifications_of(event)
    assert told.notification_requested.reason == ""


@pytest.mark.parametrize("value", [b"", b"\xff\xff", b"\x0a\x03\x0a\x01x"])
@pytest.mark.parametrize("topic", SOURCES)
def test_a_value_that_is_no_event_is_parked_with_its_reason(topic: str, value: bytes) -> None:
    (parked,) = fan_out(_record(topic, value))
    assert parked.topic == f"{topic}.dlq"
    assert parked.value == value
    assert dict(parked.headers)["dlq-original-offset"] == b"5"


def _record(topic: str, value: bytes, **headers: str) -> Record:
    pairs = tuple((name, text.encode()) for name, text in headers.items())
    return Record(topic, 2, 5, b"key", value, pairs)
