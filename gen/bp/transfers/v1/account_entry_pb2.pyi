import datetime

from bp.policy.v1 import policy_pb2 as _policy_pb2
from bp.type.v1 import money_pb2 as _money_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AccountEntry(_message.Message):
    __slots__ = ("account_id", "position", "type", "amount", "balance", "transfer_id", "counterparty", "create_time")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[AccountEntry.Type]
        OPENING_BALANCE: _ClassVar[AccountEntry.Type]
        BOOK_TRANSFER: _ClassVar[AccountEntry.Type]
        INTERBANK_DEBIT: _ClassVar[AccountEntry.Type]
        INTERBANK_REFUND: _ClassVar[AccountEntry.Type]
        INTERBANK_RETURN: _ClassVar[AccountEntry.Type]
        OTHER: _ClassVar[AccountEntry.Type]
    TYPE_UNSPECIFIED: AccountEntry.Type
    OPENING_BALANCE: AccountEntry.Type
    BOOK_TRANSFER: AccountEntry.Type
    INTERBANK_DEBIT: AccountEntry.Type
    INTERBANK_REFUND: AccountEntry.Type
    INTERBANK_RETURN: AccountEntry.Type
    OTHER: AccountEntry.Type
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    position: int
    type: AccountEntry.Type
    amount: _money_pb2.Money
    balance: _money_pb2.Money
    transfer_id: str
    counterparty: Counterparty
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, account_id: _Optional[str] = ..., position: _Optional[int] = ..., type: _Optional[_Union[AccountEntry.Type, str]] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., transfer_id: _Optional[str] = ..., counterparty: _Optional[_Union[Counterparty, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Counterparty(_message.Message):
    __slots__ = ("account_id", "name", "routing_number", "account_number_ending")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROUTING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_NUMBER_ENDING_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    name: str
    routing_number: str
    account_number_ending: str
    def __init__(self, account_id: _Optional[str] = ..., name: _Optional[str] = ..., routing_number: _Optional[str] = ..., account_number_ending: _Optional[str] = ...) -> None: ...
