import datetime

from bp.type.v1 import money_pb2 as _money_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventMetadata(_message.Message):
    __slots__ = ("event_id", "occur_time", "aggregate_id", "aggregate_version", "correlation_id", "causation_id", "customer_id")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    OCCUR_TIME_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_ID_FIELD_NUMBER: _ClassVar[int]
    AGGREGATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSATION_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    occur_time: _timestamp_pb2.Timestamp
    aggregate_id: str
    aggregate_version: int
    correlation_id: str
    causation_id: str
    customer_id: str
    def __init__(self, event_id: _Optional[str] = ..., occur_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., aggregate_id: _Optional[str] = ..., aggregate_version: _Optional[int] = ..., correlation_id: _Optional[str] = ..., causation_id: _Optional[str] = ..., customer_id: _Optional[str] = ...) -> None: ...

class AccountPosition(_message.Message):
    __slots__ = ("account_id", "balance", "position")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    balance: _money_pb2.Money
    position: int
    def __init__(self, account_id: _Optional[str] = ..., balance: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., position: _Optional[int] = ...) -> None: ...

class AccountPositions(_message.Message):
    __slots__ = ("account_positions",)
    ACCOUNT_POSITIONS_FIELD_NUMBER: _ClassVar[int]
    account_positions: _containers.RepeatedCompositeFieldContainer[AccountPosition]
    def __init__(self, account_positions: _Optional[_Iterable[_Union[AccountPosition, _Mapping]]] = ...) -> None: ...
