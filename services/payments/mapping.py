"""Between protobuf and the domain of payments; no other file knows both."""

import uuid
from datetime import datetime, timedelta

from bp.customers.v1.account_pb2 import Account
from bp.customers.v1.customers_service_pb2 import CheckDebitResponse
from bp.event.v1.event_pb2 import EventMetadata
from bp.payments.v1 import payments_events_pb2
from bp.payments.v1.interbank_transfer_pb2 import InterbankTransfer
from bp.payments.v1.payments_service_pb2 import (
    CreateInterbankTransferRequest,
    CreateInterbankTransferResponse,
    ListInterbankTransfersRequest,
)
from bp.type.v1.account_ref_pb2 import AccountRef, AccountType
from bp.type.v1.money_pb2 import Money as MoneyMessage
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.call_context import Call
from services.chassis.idempotency import fingerprint, former_fingerprint
from services.chassis.timestamps import to_timestamp
from services.kernel.money import Money
from services.nacha.settlement import expected_date
from services.payments import errors
from services.payments.checks import AccountFacts
from services.payments.state import DEBIT, State
from services.payments.transfer import (
    Beneficiary,
    Decline,
    EventOut,
    FurtherDeclines,
    InterbankTransferOrder,
    Review,
    Transfer,
    order_id,
)

_FIELDS = {
    field.message_type.name: field.name
    for field in payments_events_pb2.PaymentEvent.DESCRIPTOR.oneofs_by_name["event"].fields
    if field.message_type is not None
}
"""Name of an event's message -> its field in the envelope."""


def order_from(request: CreateInterbankTransferRequest, call: Call) -> InterbankTransferOrder:
    """Return the order in a request."""
    beneficiary = request.beneficiary
    return InterbankTransferOrder(
        customer_id=call.customer_id,
        account_id=uuid.UUID(request.account_id),
        amount=Money(request.amount.minor_units, request.amount.currency_code),
        beneficiary=Beneficiary(
            name=beneficiary.name,
            routing_number=beneficiary.routing_number,
            account_number=beneficiary.account_number,
            account_type=AccountType.Name(beneficiary.account_type),
        ),
        memo=request.memo,
        idempotency_key=call.idempotency_key,
        fingerprint=fingerprint(request),
        former_fingerprint=former_fingerprint(request),
        correlation_id=call.request_id,
        traceparent=call.traceparent,
    )


def state_from(request: ListInterbankTransfersRequest) -> State | None:
    """Return the state that a list is limited to, or None."""
    return State(InterbankTransfer.State.Name(request.state)) if request.state else None


def account_facts(answer: CheckDebitResponse) -> AccountFacts:
    """Return what the customers service knows about the account to debit."""
    return AccountFacts(
        exists=answer.HasField("account"),
        active=answer.account.state == Account.State.ACTIVE,
        currency=answer.account.currency_code,
    )


def etag(transfer: Transfer) -> str:
    """Return the transfer's strong entity tag, with its quotes (RFC 9110, 8.8.3)."""
    return f'"{transfer.version}"'


def transfer_message(transfer: Transfer) -> InterbankTransfer:
    """Return the transfer as a message of the contract."""
    return InterbankTransfer(
        transfer_id=str(transfer.transfer_id),
        account_id=str(transfer.account_id),
        amount=_money(transfer.amount),
        beneficiary=_account_ref(transfer.beneficiary),
        memo=transfer.memo,
        state=transfer.state.value,
        trace_number=transfer.trace_number,
        create_time=to_timestamp(transfer.create_time),
        update_time=to_timestamp(transfer.update_time),
        failure_reason=errors.public_reason(transfer.failure_reason),
        return_code=transfer.return_code,
        version=transfer.version,
        etag=etag(transfer),
        submit_time=_timestamp(transfer.submit_time),
        complete_time=_timestamp(transfer.complete_time),
        return_time=_timestamp(transfer.return_time),
        expected_settlement_date=_settlement_date(transfer.submit_time),
        cancel_requester=transfer.cancel_requester.value if transfer.cancel_requester else None,
    )


def _money(amount: Money) -> MoneyMessage:
    return MoneyMessage(currency_code=amount.currency, minor_units=amount.minor_units)


def _account_ref(beneficiary: Beneficiary) -> AccountRef:
    return AccountRef(
        name=beneficiary.name,
        routing_number=beneficiary.routing_number,
        account_number=beneficiary.account_number,
        account_type=beneficiary.account_type,
    )


def _timestamp(moment: datetime | None) -> Timestamp | None:
    return to_timestamp(moment) if moment else None


def _settlement_date(submit_time: datetime | None) -> str:
    return expected_date(submit_time).isoformat() if submit_time else ""


def response_bytes(transfer: Transfer) -> bytes:
    """Return the answer to a creation, which payments stores and replays byte for byte."""
    response = CreateInterbankTransferResponse(transfer=transfer_message(transfer))
    return response.SerializeToString(deterministic=True)


def event_out(transfer: Transfer, event_type: str, event_id: uuid.UUID) -> EventOut:
    """Return the event of a step; `event_type` names its message. The relay adds the positions."""
    envelope = payments_events_pb2.PaymentEvent(
        metadata=_metadata(
            event_id,
            transfer.update_time,
            transfer.transfer_id,
            transfer.version,
            of=transfer,
        )
    )
    fact = getattr(envelope, _FIELDS[event_type])
    fact.transfer.CopyFrom(transfer_message(transfer))
    if event_type == DEBIT.event_type:
        fact.in_review = transfer.fraud_review
    if "requested_by" in fact.DESCRIPTOR.fields_by_name and transfer.cancel_requester:
        fact.requested_by = transfer.cancel_requester.value
    return EventOut(event_id, f"bp.payments.v1.{event_type}", envelope.SerializeToString())


def decline_event(decline: Decline, event_id: uuid.UUID) -> EventOut:
    """Return the event of a declined order."""
    order = decline.order
    envelope = payments_events_pb2.PaymentEvent(
        metadata=_metadata(event_id, decline.decline_time, decline.decline_id, 1, of=order),
        transfer_declined=payments_events_pb2.TransferDeclined(
            account_id=str(order.account_id),
            amount=_money(order.amount),
            beneficiary=_account_ref(order.beneficiary),
            reason=decline.reason,
            fraud_transaction_id=str(order_id(order)),
        ),
    )
    payload = envelope.SerializeToString()
    return EventOut(event_id, "bp.payments.v1.TransferDeclined", payload)


def further_declines_event(
    declines: FurtherDeclines, report_id: uuid.UUID, event_id: uuid.UUID
) -> EventOut:
    """Return the event about an hour's declined orders beyond the recorded ones."""
    envelope = payments_events_pb2.PaymentEvent(
        metadata=EventMetadata(
            event_id=str(event_id),
            occur_time=to_timestamp(declines.hour + timedelta(hours=1)),
            aggregate_id=str(report_id),
            aggregate_version=1,
            correlation_id=str(report_id),
            causation_id=str(report_id),
            customer_id=str(declines.customer_id),
        ),
        further_orders_declined=payments_events_pb2.FurtherOrdersDeclined(
            hour_start_time=to_timestamp(declines.hour),
            recorded_orders=declines.recorded,
            further_orders=declines.further,
        ),
    )
    payload = envelope.SerializeToString()
    return EventOut(event_id, "bp.payments.v1.FurtherOrdersDeclined", payload)


def review_event(review: Review, transfer: Transfer, event_id: uuid.UUID) -> EventOut:
    """Return the event of a reviewer's decision; `review` has its final effect."""
    envelope = payments_events_pb2.PaymentEvent(
        metadata=_metadata(event_id, review.decide_time, review.transfer_id, 0, of=transfer),
        transfer_reviewed=payments_events_pb2.TransferReviewed(
            decision=review.decision,
            effect=review.effect,
            reviewer=review.reviewer,
            note=review.note,
            os_user=review.os_user,
        ),
    )
    return EventOut(event_id, "bp.payments.v1.TransferReviewed", envelope.SerializeToString())


def _metadata(
    event_id: uuid.UUID,
    occur_time: datetime,
    aggregate_id: uuid.UUID,
    version: int,
    *,
    of: Transfer | InterbankTransferOrder,
) -> EventMetadata:
    return EventMetadata(
        event_id=str(event_id),
        occur_time=to_timestamp(occur_time),
        aggregate_id=str(aggregate_id),
        aggregate_version=version,
        correlation_id=of.correlation_id,
        causation_id=of.correlation_id,
        customer_id=str(of.customer_id),
    )
