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

class InterbankTransfer(_message.Message):
    __slots__ = ("transfer_id", "account_id", "amount", "beneficiary", "memo", "state", "trace_number", "create_time", "update_time", "failure_reason", "return_code", "version", "etag", "submit_time", "complete_time", "return_time", "expected_settlement_date", "cancel_requester")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[InterbankTransfer.State]
        DEBITED: _ClassVar[InterbankTransfer.State]
        OUTCOME_UNKNOWN: _ClassVar[InterbankTransfer.State]
        CANCELLING: _ClassVar[InterbankTransfer.State]
        SUBMITTED: _ClassVar[InterbankTransfer.State]
        COMPLETED: _ClassVar[InterbankTransfer.State]
        RETURNED: _ClassVar[InterbankTransfer.State]
        FAILED: _ClassVar[InterbankTransfer.State]
        CANCELLED: _ClassVar[InterbankTransfer.State]
    STATE_UNSPECIFIED: InterbankTransfer.State
    DEBITED: InterbankTransfer.State
    OUTCOME_UNKNOWN: InterbankTransfer.State
    CANCELLING: InterbankTransfer.State
    SUBMITTED: InterbankTransfer.State
    COMPLETED: InterbankTransfer.State
    RETURNED: InterbankTransfer.State
    FAILED: InterbankTransfer.State
    CANCELLED: InterbankTransfer.State
    class Requester(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REQUESTER_UNSPECIFIED: _ClassVar[InterbankTransfer.Requester]
        CUSTOMER: _ClassVar[InterbankTransfer.Requester]
        BANK: _ClassVar[InterbankTransfer.Requester]
    REQUESTER_UNSPECIFIED: InterbankTransfer.Requester
    CUSTOMER: InterbankTransfer.Requester
    BANK: InterbankTransfer.Requester
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    BENEFICIARY_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRACE_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASON_FIELD_NUMBER: _ClassVar[int]
    RETURN_CODE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_TIME_FIELD_NUMBER: _ClassVar[int]
    RETURN_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUESTER_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    account_id: str
    amount: _money_pb2.Money
    beneficiary: _account_ref_pb2.AccountRef
    memo: str
    state: InterbankTransfer.State
    trace_number: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    failure_reason: str
    return_code: str
    version: int
    etag: str
    submit_time: _timestamp_pb2.Timestamp
    complete_time: _timestamp_pb2.Timestamp
    return_time: _timestamp_pb2.Timestamp
    expected_settlement_date: str
    cancel_requester: InterbankTransfer.Requester
    def __init__(self, transfer_id: _Optional[str] = ..., account_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., beneficiary: _Optional[_Union[_account_ref_pb2.AccountRef, _Mapping]] = ..., memo: _Optional[str] = ..., state: _Optional[_Union[InterbankTransfer.State, str]] = ..., trace_number: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failure_reason: _Optional[str] = ..., return_code: _Optional[str] = ..., version: _Optional[int] = ..., etag: _Optional[str] = ..., submit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., complete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., return_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expected_settlement_date: _Optional[str] = ..., cancel_requester: _Optional[_Union[InterbankTransfer.Requester, str]] = ...) -> None: ...
