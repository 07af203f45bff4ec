"""Between protobuf and the domain of transfers; no other file knows both."""

import uuid

from bp.customers.v1 import account_pb2
from bp.event.v1 import event_pb2
from bp.transfers.v1 import book_transfer_pb2, transfers_events_pb2, transfers_service_pb2
from bp.type.v1 import money_pb2

from services.chassis.call_context import Call
from services.chassis.timestamps import to_timestamp
from services.kernel.money import Money
from services.transfers.state import BookTransfer, BookTransferOrder, KnownAccount, State


def order_from(
    request: transfers_service_pb2.CreateBookTransferRequest, customer_id: uuid.UUID
) -> BookTransferOrder:
    """Return what a request asks for."""
    return BookTransferOrder(
        customer_id=customer_id,
        account_id=uuid.UUID(request.account_id),
        destination_account_id=uuid.UUID(request.destination_account_id),
        amount=Money(request.amount.minor_units, request.amount.currency_code),
        memo=request.memo,
    )


def known_account(account: account_pb2.Account) -> KnownAccount:
    """Return what customers tells of an account. A frozen one may still be paid to."""
    active = account.state == account_pb2.Account.ACTIVE
    return KnownAccount(
        account_id=uuid.UUID(account.account_id),
        customer_id=uuid.UUID(account.customer_id),
        currency=account.currency_code,
        debitable=active,
        creditable=active or account.state == account_pb2.Account.FROZEN,
    )


def transfer_message(transfer: BookTransfer) -> book_transfer_pb2.BookTransfer:
    """Return a transfer as the contract has it."""
    return book_transfer_pb2.BookTransfer(
        transfer_id=str(transfer.transfer_id),
        account_id=str(transfer.account_id),
        destination_account_id=str(transfer.destination_account_id),
        amount=money_pb2.Money(
            currency_code=transfer.amount.currency, minor_units=transfer.amount.minor_units
        ),
        memo=transfer.memo,
        state=State.COMPLETED.value,
        create_time=to_timestamp(transfer.create_time),
    )


def posted_event(
    event_id: uuid.UUID, transfer: BookTransfer, call: Call
) -> transfers_events_pb2.TransferEvent:
    """Return the event of a posted transfer; the relay adds the account positions."""
    return transfers_events_pb2.TransferEvent(
        metadata=event_pb2.EventMetadata(
            event_id=str(event_id),
            occur_time=to_timestamp(transfer.create_time),
            aggregate_id=str(transfer.transfer_id),
            aggregate_version=1,
            correlation_id=call.request_id,
            causation_id=call.request_id,
            customer_id=str(transfer.customer_id),
        ),
        book_transfer_posted=transfers_events_pb2.BookTransferPosted(
            transfer=transfer_message(transfer),
            destination_customer_id=str(transfer.destination_customer_id),
        ),
    )
