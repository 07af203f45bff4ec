"""Builds each type of event from fixed data with the current mapping, relay and router.

The ids, times and amounts are invented and constant, so the bytes are constant too.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bp.auth.v1.auth_events_pb2 import AuthEvent
from google.protobuf.json_format import ParseDict

from mesh.pilot.history import Origin, Revision
from mesh.pilot.revision_event import event_of, message_of
from services.chassis.kafka import Record
from services.kernel.money import Money
from services.payments import mapping as payments
from services.payments.state import State
from services.payments.transfer import (
    Beneficiary,
    Decline,
    FurtherDeclines,
    InterbankTransferOrder,
    Requester,
    Review,
    Transfer,
)
from services.relay import events_out
from services.router.mapping import ENVELOPES, fan_out
from services.transfers import mapping as transfers
from services.transfers.state import BookTransfer, BookTransferOrder
from services.transfers.state import Decline as BookDecline
from tests.golden.kept import Golden
from tests.rigs.sample_events import LOGINS

CUSTOMER = uuid.UUID("11111111-1111-4111-8111-111111111105")
ACCOUNT = uuid.UUID("22222222-2222-4222-8222-222222222205")
PAYEE = uuid.UUID("33333333-3333-4333-8333-333333333306")
PAYEES_ACCOUNT = uuid.UUID("44444444-4444-4444-8444-444444444406")
TRANSFER = uuid.UUID("0199aaaa-0000-7000-8000-000000000005")
EVENT = uuid.UUID("0199bbbb-0000-7000-8000-000000000005")
MORNING = datetime(2026, 3, 10, 14, 30, 0, 250_000, tzinfo=UTC)
TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REQUEST = "5a1f0f6e-3d8c-4b51-9d0a-6f4f3f0f9a11"
TRACE_NUMBER = "091000010000001"

DEBITED = Transfer(
    transfer_id=TRANSFER,
    customer_id=CUSTOMER,
    account_id=ACCOUNT,
    amount=Money(100_000, "USD"),
    beneficiary=Beneficiary("Luis Vega", "021000021", "000123456789", "CHECKING"),
    memo="alquiler de marzo",
    state=State.DEBITED,
    version=1,
    fraud_review=False,
    correlation_id=REQUEST,
    traceparent=TRACE_PARENT,
    create_time=MORNING,
    update_time=MORNING,
)
SUBMITTED = replace(
    DEBITED,
    state=State.SUBMITTED,
    version=2,
    trace_number=TRACE_NUMBER,
    submit_time=MORNING,
)
PAYMENT_FACTS: dict[str, Transfer] = {
    "TransferDebited": DEBITED,
    "TransferSubmitted": SUBMITTED,
    "TransferCompleted": replace(
        SUBMITTED, state=State.COMPLETED, version=3, complete_time=MORNING
    ),
    "TransferFailed": replace(
        DEBITED, state=State.FAILED, version=3, failure_reason="ACH_UNAVAILABLE"
    ),
    "TransferReturned": replace(
        SUBMITTED, state=State.RETURNED, version=3, return_code="R03", return_time=MORNING
    ),
    "TransferCancelled": replace(
        DEBITED, state=State.CANCELLED, version=3, cancel_requester=Requester.CUSTOMER
    ),
    "TransferOutcomeUnknown": replace(DEBITED, state=State.OUTCOME_UNKNOWN, version=2),
    "TransferCancelRequested": replace(
        SUBMITTED, state=State.CANCELLING, version=3, cancel_requester=Requester.BANK
    ),
    "TransferCancelRefused": replace(SUBMITTED, version=4, cancel_requester=Requester.BANK),
}
DECLINE = Decline(
    decline_id=TRANSFER,
    order=InterbankTransferOrder(
        customer_id=CUSTOMER,
        account_id=ACCOUNT,
        amount=DEBITED.amount,
        beneficiary=DEBITED.beneficiary,
        memo=DEBITED.memo,
        idempotency_key="golden-2",
        fingerprint=bytes(32),
        correlation_id=REQUEST,
        traceparent=TRACE_PARENT,
    ),
    reason="FRAUD_DECLINED",
    decline_time=MORNING,
)
FURTHER = FurtherDeclines(CUSTOMER, MORNING.replace(minute=0, microsecond=0), 100, 25)
REVIEW = Review(
    TRANSFER, "REFUSED", "CANCELLING", "eva", "unknown payee", MORNING, "eva (uid 1000)"
)
POSTS = frozenset({"TransferDebited", "TransferFailed", "TransferReturned", "TransferCancelled"})
"""Events that post to the customer's account, so they carry the account's position."""

BOOK_TRANSFER = BookTransfer(
    transfer_id=TRANSFER,
    customer_id=CUSTOMER,
    account_id=ACCOUNT,
    destination_customer_id=PAYEE,
    destination_account_id=PAYEES_ACCOUNT,
    amount=Money(2_550, "USD"),
    memo="cena",
    create_time=MORNING,
)
ORDER = BookTransferOrder(
    customer_id=CUSTOMER,
    account_id=ACCOUNT,
    destination_account_id=PAYEES_ACCOUNT,
    amount=BOOK_TRANSFER.amount,
    memo=BOOK_TRANSFER.memo,
    idempotency_key="golden-1",
    fingerprint=bytes(32),
    correlation_id=REQUEST,
    traceparent=TRACE_PARENT,
    admit_time=MORNING,
)

REVISION = Revision(
    number=7,
    digest="ab" * 32,
    create_time=MORNING.isoformat(),
    who="eva",
    why="the fraud API is slow",
    origin=Origin.APPLY,
)
ROUTE = b"kind: VirtualService\nmetadata: {name: fraud}\nspec: {timeout: %ds}\n"
BOOK_DECLINE = BookDecline(TRANSFER, ORDER, "AMOUNT_LIMIT_EXCEEDED", MORNING)


def written() -> Iterator[Golden]:
    """Yield each event of payments, transfers, logins and the mesh, and the records that the router
    makes."""
    for name, transfer in PAYMENT_FACTS.items():
        payload = payments.event_out(transfer, name, EVENT).payload
        positions = [_position(ACCOUNT, 400_000, 7)] if name in POSTS else []
        yield from _and_routed(
            name, _relayed("payments", f"bp.payments.v1.{name}", payload, positions)
        )
    name = "TransferDeclined"
    payload = payments.decline_event(DECLINE, EVENT).payload
    yield from _and_routed(name, _relayed("payments", f"bp.payments.v1.{name}", payload, []))
    name = "FurtherOrdersDeclined"
    payload = payments.further_declines_event(FURTHER, TRANSFER, EVENT).payload
    yield from _and_routed(name, _relayed("payments", f"bp.payments.v1.{name}", payload, []))
    name = "TransferReviewed"
    payload = payments.review_event(REVIEW, SUBMITTED, EVENT).payload
    yield from _and_routed(name, _relayed("payments", f"bp.payments.v1.{name}", payload, []))
    name = "BookTransferDeclined"
    payload = transfers.decline_event(BOOK_DECLINE, EVENT).payload
    yield from _and_routed(name, _relayed("transfers", f"bp.transfers.v1.{name}", payload, []))
    name = "BookTransferPosted"
    payload = transfers.event_out(BOOK_TRANSFER, ORDER, EVENT).payload
    positions = [_position(ACCOUNT, 397_450, 8), _position(PAYEES_ACCOUNT, 2_550, 1)]
    yield from _and_routed(
        name, _relayed("transfers", f"bp.transfers.v1.{name}", payload, positions)
    )
    for field, content in LOGINS.items():
        event = _login(field, content)
        payload = event.SerializeToString(deterministic=True)
        event_type = getattr(event, field).DESCRIPTOR.full_name
        record = _relayed("auth-events", event_type, payload, [], CUSTOMER, CUSTOMER)
        yield from _and_routed(event_type.rpartition(".")[2], record)
    event = event_of(REVISION, {"fraud.yaml": ROUTE % 2}, {"fraud.yaml": ROUTE % 1})
    message = message_of(event)
    record = Record(message.topic, 0, 6, message.key, message.value, message.headers)
    yield from _and_routed("MeshConfigRevised", record)


def facts_of_the_contracts() -> set[str]:
    """Return the names of all events that the envelopes can contain."""
    return {
        field.message_type.name
        for envelope in ENVELOPES.values()
        for field in envelope.DESCRIPTOR.oneofs_by_name["event"].fields
    }


def _login(field: str, content: dict[str, Any]) -> AuthEvent:
    """Return an event about logins, about a customer."""
    event = AuthEvent()
    event.metadata.event_id = str(EVENT)
    event.metadata.occur_time.FromDatetime(MORNING)
    event.metadata.aggregate_id = str(CUSTOMER)
    event.metadata.correlation_id = REQUEST
    event.metadata.customer_id = str(CUSTOMER)
    ParseDict(content, getattr(event, field))
    return event


def _position(account_id: uuid.UUID, balance: int, position: int) -> dict[str, Any]:
    return {"account_id": account_id, "currency": "USD", "balance": balance, "position": position}


def _relayed(
    topic: str,
    event_type: str,
    payload: bytes,
    positions: list[dict[str, Any]],
    subject: uuid.UUID = TRANSFER,
    key: uuid.UUID = ACCOUNT,
) -> Record:
    """Return the record that the relay makes from an outbox row."""
    row = {
        "event_id": EVENT,
        "topic": topic,
        "event_type": event_type,
        "subject": subject,
        "key": key,
        "payload": payload,
        "positions": positions,
        "create_time": MORNING,
        "traceparent": TRACE_PARENT,
    }
    message = events_out.to_message(row)
    return Record(topic, 3, 41, message.key, message.value, message.headers)


def _and_routed(name: str, record: Record) -> Iterator[Golden]:
    yield Golden.of(name, record)
    for number, made in enumerate(fan_out(record)):
        headers = tuple((key, _raw(value)) for key, value in made.headers)
        suffix = "Received" if number == 2 else ""
        yield Golden.of(name + suffix, Record(made.topic, 0, 0, made.key, made.value, headers))


def _raw(value: str | bytes | None) -> bytes:
    assert not isinstance(value, str), "the router writes headers as bytes"
    return value or b""
