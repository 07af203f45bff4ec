"""Between protobuf and the domain of transfers; no other file knows both."""

import uuid

from bp.customers.v1.account_pb2 import Account
from bp.customers.v1.customers_service_pb2 import BatchGetHoldersResponse, CheckDebitResponse
from bp.event.v1.event_pb2 import EventMetadata
from bp.transfers.v1 import account_entry_pb2, transfers_events_pb2
from bp.transfers.v1.book_transfer_pb2 import BookTransfer as BookTransferMessage
from bp.transfers.v1.transfers_service_pb2 import (
    CreateBookTransferRequest,
    CreateBookTransferResponse,
    ListBookTransfersRequest,
    ListEntriesRequest,
)
from bp.type.v1.money_pb2 import Money as MoneyMessage

from services.chassis.call_context import Call
from services.chassis.idempotency import fingerprint, former_fingerprint
from services.chassis.time_texts import time_range
from services.chassis.timestamps import to_timestamp
from services.kernel.money import Money
from services.transfers.state import (
    BookTransfer,
    BookTransferOrder,
    Decline,
    Direction,
    EventOut,
    KnownAccount,
    State,
    TransferFilter,
)
from services.transfers.statement import Entry, EntryFilter, EntryType, Holder, OtherParty


def order_from(request: CreateBookTransferRequest, call: Call) -> BookTransferOrder:
    """Return the order in a request."""
    return BookTransferOrder(
        customer_id=call.customer_id,
        account_id=uuid.UUID(request.account_id),
        destination_account_id=uuid.UUID(request.destination_account_id),
        amount=Money(request.amount.minor_units, request.amount.currency_code),
        memo=request.memo,
        idempotency_key=call.idempotency_key,
        fingerprint=fingerprint(request),
        former_fingerprint=former_fingerprint(request),
        correlation_id=call.request_id,
        traceparent=call.traceparent,
        admit_time=call.admit_time,
    )


def known_accounts(answer: CheckDebitResponse) -> tuple[KnownAccount | None, KnownAccount | None]:
    """Return the account to debit and the account to credit; None for one that does not exist."""
    return (
        _known_account(answer.account) if answer.HasField("account") else None,
        _known_account(answer.destination_account)
        if answer.HasField("destination_account")
        else None,
    )


def _known_account(account: Account) -> KnownAccount:
    """Return what customers knows about an account. A frozen one may still be credited."""
    active = account.state == Account.State.ACTIVE
    return KnownAccount(
        account_id=uuid.UUID(account.account_id),
        customer_id=uuid.UUID(account.customer_id),
        currency=account.currency_code,
        debitable=active,
        creditable=active or account.state == Account.State.FROZEN,
    )


def known_holders(answer: BatchGetHoldersResponse) -> dict[uuid.UUID, Holder]:
    """Return the account holders that customers returned, by account."""
    return {
        uuid.UUID(account_id): Holder(holder.name, holder.account_number_ending)
        for account_id, holder in answer.holders.items()
    }


def transfer_filter(request: ListBookTransfersRequest) -> TransferFilter:
    """Return which transfers a request lists; raise InvalidArgument for an invalid time."""
    received = request.direction == ListBookTransfersRequest.Direction.RECEIVED
    return TransferFilter(
        account_id=uuid.UUID(request.account_id),
        direction=Direction.RECEIVED if received else Direction.PAID,
        created=time_range(request.create_time_from, request.create_time_to),
    )


def transfer_message(transfer: BookTransfer) -> BookTransferMessage:
    """Return the transfer as a message of the contract."""
    return BookTransferMessage(
        transfer_id=str(transfer.transfer_id),
        account_id=str(transfer.account_id),
        destination_account_id=str(transfer.destination_account_id),
        amount=_money(transfer.amount),
        memo=transfer.memo,
        state=State.COMPLETED.value,
        create_time=to_timestamp(transfer.create_time),
    )


def response_bytes(transfer: BookTransfer) -> bytes:
    """Return the answer to a creation, which transfers stores and replays byte for byte."""
    return CreateBookTransferResponse(transfer=transfer_message(transfer)).SerializeToString()


def event_out(transfer: BookTransfer, order: BookTransferOrder, event_id: uuid.UUID) -> EventOut:
    """Return the event of a posted transfer; the relay adds the account positions."""
    envelope = transfers_events_pb2.TransferEvent(
        metadata=EventMetadata(
            event_id=str(event_id),
            occur_time=to_timestamp(transfer.create_time),
            aggregate_id=str(transfer.transfer_id),
            aggregate_version=1,
            correlation_id=order.correlation_id,
            causation_id=order.correlation_id,
            customer_id=str(transfer.customer_id),
        ),
        book_transfer_posted=transfers_events_pb2.BookTransferPosted(
            transfer=transfer_message(transfer),
            destination_customer_id=str(transfer.destination_customer_id),
        ),
    )
    return EventOut(event_id, envelope.SerializeToString())


def decline_event(decline: Decline, event_id: uuid.UUID) -> EventOut:
    """Return the event of a declined order."""
    order = decline.order
    envelope = transfers_events_pb2.TransferEvent(
        metadata=EventMetadata(
            event_id=str(event_id),
            occur_time=to_timestamp(decline.decline_time),
            aggregate_id=str(decline.decline_id),
            aggregate_version=1,
            correlation_id=order.correlation_id,
            causation_id=order.correlation_id,
            customer_id=str(order.customer_id),
        ),
        book_transfer_declined=transfers_events_pb2.BookTransferDeclined(
            account_id=str(order.account_id),
            destination_account_id=str(order.destination_account_id),
            amount=_money(order.amount),
            reason=decline.reason,
            order_id=str(order.order_id),
        ),
    )
    return EventOut(event_id, envelope.SerializeToString())


def entry_filter(request: ListEntriesRequest) -> EntryFilter:
    """Return which entries a request lists; raise InvalidArgument for an invalid time."""
    type_name = account_entry_pb2.AccountEntry.Type.Name(request.type)
    return EntryFilter(
        account_id=uuid.UUID(request.account_id),
        type=EntryType(type_name) if request.type else None,
        created=time_range(request.create_time_from, request.create_time_to),
    )


def entry_message(entry: Entry) -> account_entry_pb2.AccountEntry:
    """Return the entry as a message of the contract."""
    opening = entry.type is EntryType.OPENING_BALANCE
    return account_entry_pb2.AccountEntry(
        account_id=str(entry.account_id),
        position=entry.position,
        type=entry.type.value,
        amount=_money(entry.amount),
        balance=_money(entry.balance),
        transfer_id="" if opening else str(entry.reference),
        counterparty=_counterparty(entry.other) if entry.other else None,
        create_time=to_timestamp(entry.create_time),
    )


def _counterparty(other: OtherParty) -> account_entry_pb2.Counterparty:
    return account_entry_pb2.Counterparty(
        account_id=str(other.account_id) if other.account_id else "",
        name=other.name,
        routing_number=other.routing_number,
        account_number_ending=other.account_number_ending,
    )


def _money(money: Money) -> MoneyMessage:
    return MoneyMessage(currency_code=money.currency, minor_units=money.minor_units)
