"""Between protobuf and the domain of customers; no other file knows both."""

import uuid

from bp.customers.v1 import account_pb2, customer_pb2, customers_service_pb2
from bp.event.v1 import event_pb2
from bp.type.v1 import money_pb2
from google.protobuf.message import DecodeError

from services.chassis.kafka import BadMessage
from services.chassis.timestamps import to_timestamp
from services.customers.state import (
    Account,
    AccountHolder,
    Balance,
    CheckedDebit,
    Customer,
    OwnAccount,
    PlannedDebit,
)
from services.kernel.money import Money


def planned_debit(request: customers_service_pb2.CheckDebitRequest) -> PlannedDebit:
    """Return the debit that a request checks."""
    destination = request.destination_account_id
    return PlannedDebit(
        customer_id=uuid.UUID(request.customer_id),
        account_id=uuid.UUID(request.account_id),
        destination_id=uuid.UUID(destination) if destination else None,
    )


def check_message(checked: CheckedDebit) -> customers_service_pb2.CheckDebitResponse:
    """Return the accounts of a planned debit as a message of the contract."""
    source, destination = checked.source, checked.destination
    return customers_service_pb2.CheckDebitResponse(
        account=account_message(source.account) if source else None,
        balance=balance_message(source.balance) if source else None,
        destination_account=account_message(destination) if destination else None,
    )


def customer_message(customer: Customer) -> customer_pb2.Customer:
    """Return the customer as a message of the contract."""
    return customer_pb2.Customer(
        customer_id=str(customer.customer_id),
        user_name=customer.user_name,
        display_name=customer.display_name,
        email=customer.email,
        locale=customer.locale,
        create_time=to_timestamp(customer.create_time),
    )


def account_message(account: Account) -> account_pb2.Account:
    """Return the account as other services see it, without its numbers and its balance."""
    return account_pb2.Account(
        account_id=str(account.account_id),
        customer_id=str(account.customer_id),
        account_type=account.account_type.value,
        currency_code=account.currency,
        state=account.state.value,
        create_time=to_timestamp(account.create_time),
    )


def own_account_message(own: OwnAccount, routing_number: str) -> account_pb2.Account:
    """Return the account as its owner sees it, with its numbers and its balance."""
    message = account_message(own.holding.account)
    message.account_number = own.account_number
    message.routing_number = routing_number
    message.balance.CopyFrom(balance_message(own.holding.balance))
    return message


def holder_message(holder: AccountHolder) -> account_pb2.AccountHolder:
    """Return the holder of an account as a message of the contract."""
    return account_pb2.AccountHolder(
        name=holder.name, account_number_ending=holder.account_number_ending
    )


def balance_message(balance: Balance) -> account_pb2.Balance:
    """Return the balance as a message of the contract; the whole balance is available."""
    money = money_pb2.Money(
        currency_code=balance.held.currency, minor_units=balance.held.minor_units
    )
    return account_pb2.Balance(
        account_id=str(balance.account_id),
        available=money,
        ledger=money,
        position=balance.position,
    )


def balances_of_event(payload: bytes) -> list[Balance]:
    """Return the balances in an event: field 15 of every envelope; other fields are not read.

    Raises BadMessage for bytes that are no protobuf message and for an impossible position.
    """
    try:
        event = event_pb2.AccountPositions.FromString(payload)
    except DecodeError as error:
        raise BadMessage("UNDECODABLE", str(error)) from error
    try:
        return [_balance(position) for position in event.account_positions]
    except ValueError as error:
        raise BadMessage("INVALID_POSITION", str(error)) from error


def _balance(position: event_pb2.AccountPosition) -> Balance:
    held = Money(position.balance.minor_units, position.balance.currency_code)
    if position.position < 1 or held.minor_units < 0 or not held.currency:
        raise ValueError("account position without a currency, a balance >= 0 or a position >= 1")
    return Balance(uuid.UUID(position.account_id), held, position.position)
