import datetime

from bp.policy.v1 import policy_pb2 as _policy_pb2
from bp.type.v1 import account_ref_pb2 as _account_ref_pb2
from bp.type.v1 import money_pb2 as _money_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Account(_message.Message):
    __slots__ = ("account_id", "customer_id", "account_type", "currency_code", "state", "create_time", "account_number", "routing_number", "balance")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Account.State]
        ACTIVE: _ClassVar[Account.State]
        FROZEN: _ClassVar[Account.State]
        CLOSED: _ClassVar[Account.State]
    STATE_UNSPECIFIED: Account.State
    ACTIVE: Account.State
    FROZEN: Account.State
    CLOSED: Account.State
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_TYPE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_CODE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ROUTING_NUMBER_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    customer_id: str
    account_type: _account_ref_pb2.AccountType
    currency_code: str
    state: Account.State
    create_time: _timestamp_pb2.Timestamp
    account_number: str
    routing_number: str
    balance: Balance
    def __init__(self, account_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., account_type: _Optional[_Union[_account_ref_pb2.AccountType, str]] = ..., currency_code: _Optional[str] = ..., state: _Optional[_Union[Account.State, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., account_number: _Optional[str] = ..., routing_number: _Optional[str] = ..., balance: _Optional[_Union[Balance, _Mapping]] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("account_id", "available", "ledger", "position")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    available: _money_pb2.Money
    ledger: _money_pb2.Money
    position: int
    def __init__(self, account_id: _Optional[str] = ..., available: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., ledger: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., position: _Optional[int] = ...) -> None: ...

class AccountHolder(_message.Message):
    __slots__ = ("name", "account_number_ending")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_NUMBER_ENDING_FIELD_NUMBER: _ClassVar[int]
    name: str
    account_number_ending: str
    def __init__(self, name: _Optional[str] = ..., account_number_ending: _Optional[str] = ...) -> None: ...
